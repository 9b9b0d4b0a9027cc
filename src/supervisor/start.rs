//! The start: sockets, signals, logs and interpreters, and then the loop.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::admin::{Admin, ControlListener};
use super::beginning::Beginning;
use super::decide::{Plan, State};
use super::limits::OpenFiles;
use super::listeners::Listeners;
use super::orders::Waiting;
use super::program::Program;
use super::reload::{Reloads, Source};
use super::signals::{self, Held, Signals};
use super::systemd::Systemd;
use super::upgrade::{Elder, Lineage, Upgrade};
use super::{Supervisor, orphans};
use crate::config::{AppConfig, GroupId, ServeConfig};
use crate::observe::logs::Logs;

/// Events that wait for the loop; the tasks that watch wait with theirs.
const EVENTS: usize = 256;

/// The exit status of a flupd that can't start.
const FAILURE: u8 = 1;

/// Runs until it is told to stop, and returns the exit status. What keeps it from
/// starting is logged: an address, the interpreter, our library or a limit.
/// `beginning` knows it, too.
///
/// # Errors
/// When there is no log.
pub(crate) fn run(
    config: ServeConfig,
    source: Source,
    lineage: Lineage,
    beginning: &Beginning,
) -> anyhow::Result<u8> {
    let held = signals::hold()?;
    let voice = lineage.elder.as_ref().and_then(|elder| elder.voice().ok());
    // Before anything else is opened: see `Listeners::open`.
    let listeners = match &lineage.elder {
        Some(elder) => elder.listeners.reopen(&config.listeners),
        None => Listeners::open(&config.listeners),
    };
    let logs = Logs::start(&config.logs).context("the log can't be written")?;
    let status = listeners
        .map_err(Into::into)
        .and_then(|listeners| {
            let open = Opened { listeners, lineage, logs: &logs };
            supervise(config, source, open, &held, beginning)
        })
        .unwrap_or_else(|error| {
            tracing::error!(error = %format_args!("{error:#}"), "flupd can't start");
            beginning.fail(&format!("{error:#}"));
            if let Some(voice) = voice {
                voice.refuse(format!("{error:#}"));
            }
            FAILURE
        });
    logs.finish();
    Ok(status)
}

/// What the supervisor begins with.
struct Opened<'l> {
    listeners: Listeners,
    lineage: Lineage,
    logs: &'l Logs,
}

fn supervise(
    config: ServeConfig,
    source: Source,
    opened: Opened<'_>,
    held: &Held,
    beginning: &Beginning,
) -> anyhow::Result<u8> {
    let Opened { listeners, lineage: Lineage { again, elder }, logs } = opened;
    let open_files = OpenFiles::raise(&config)?;
    let preload = config.apps.values().any(|app| app.preload);
    if preload {
        orphans::inherit().context("can't become the heir of orphaned workers")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::release(held).context("can't watch for signals")?;
        let programs = tokio::select! {
            found = programs(&config, 1) => found?,
            () = signals.stop() => return Ok(0),
        };
        start_log(&config, &listeners, programs.values());
        let (events, inbox) = mpsc::channel(EVENTS);
        let mut elder = elder.map(|elder| elder.watch(events.clone())).transpose()?;
        let mut control = control(&config, elder.as_mut())?;
        let admin = match control.take_if(|_| elder.is_none()) {
            Some(control) => Admin::serve(control)?,
            None => Admin::none(),
        };
        let plans = config.apps().map(|(id, app)| (GroupId::first(id), plan(app)));
        let state = State::new(plans, config.is_solo(), config.graceful_timeout, Instant::now());
        let systemd = Systemd::new();
        let state = state.watching(systemd.patience());
        let mut supervisor = Supervisor {
            state: if elder.is_some() { state.proving() } else { state },
            reloads: Reloads::new(source, &config),
            config,
            programs,
            preload,
            open_files,
            listeners: Some(listeners),
            gateway: None,
            teller: None,
            bell: None,
            workers: BTreeMap::new(),
            last_words: None,
            log_level: None,
            told: Default::default(),
            children: signal(SignalKind::child())?,
            events,
            logs,
            beginning,
            admin,
            waiting: Waiting::default(),
            systemd,
            upgrade: Upgrade::new(again, elder, control),
        };
        if !supervisor.upgrade.proves() {
            supervisor.reconfigure_teller(&Listeners::default());
        }
        Ok(supervisor.serve(inbox, signals).await)
    })
}

/// The control socket: that of the flupd before this one, if it stays where it is.
fn control(
    config: &ServeConfig,
    elder: Option<&mut Elder>,
) -> anyhow::Result<Option<ControlListener>> {
    let Some(wanted) = &config.control else { return Ok(None) };
    let offered = elder.and_then(|elder| elder.control.take_if(|offered| offered.is(wanted)));
    offered.map_or_else(|| ControlListener::open(wanted), Ok).map(Some)
}

/// What runs this generation of each app.
pub(super) async fn programs(
    config: &ServeConfig,
    generation: u64,
) -> anyhow::Result<BTreeMap<GroupId, Program>> {
    let mut programs = BTreeMap::new();
    for (id, app) in config.apps() {
        let found = Program::find(app.clone()).await;
        let found = match &app.name {
            Some(name) => found.with_context(|| format!("app {name}"))?,
            None => found?,
        };
        programs.insert(GroupId { app: id, generation }, found);
    }
    Ok(programs)
}

pub(super) const fn plan(app: &AppConfig) -> Plan {
    let &AppConfig { workers, threads, preload, max_age, max_memory, ref probe, .. } = app;
    let (probe, grace) = (probe.is_some(), Some(app.graceful_timeout));
    Plan { workers, threads, preload, probe, grace, max_age, max_memory }
}

fn start_log<'p>(
    config: &ServeConfig,
    listeners: &Listeners,
    programs: impl Iterator<Item = &'p Program>,
) {
    let addresses: Vec<_> = listeners
        .configs()
        .iter()
        .map(|listener| format!("{} {}", listener.protocol, listener.address))
        .collect();
    let (version, pid) = (crate::cli::VERSION, std::process::id());
    let listen = addresses.join(", ");
    let socket = config.listeners.iter().any(|listen| listen.default).then_some("fastcgi");
    let mut programs = programs.peekable();
    if programs.peek().is_some_and(|program| program.app.name.is_none()) {
        programs.for_each(|program| {
            let defaults: Vec<_> =
                socket.into_iter().chain(program.app.defaults.iter().copied()).collect();
            tracing::info!(
                version,
                pid,
                app = program.app.app,
                listen,
                python = %program.interpreter.executable.display(),
                python_version = program.interpreter.version,
                workers = %program.app.workers,
                threads = program.app.threads,
                preload = program.app.preload,
                solo = program.app.solo,
                defaults = defaults.join(", "),
                "starting"
            );
        });
        return;
    }
    tracing::info!(version, pid, listen, apps = config.apps.len(), "starting");
    programs.for_each(Program::say);
}
