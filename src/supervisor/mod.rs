//! The process that a person starts: it holds the listening sockets, starts the
//! gateway and the workers, and replaces what ends. It reads no byte that came
//! from a web server.
//!
//! What to do is decided in [`decide`], purely; this loop carries it out.

mod admin;
mod backoff;
mod cause;
mod confine;
mod decide;
mod end;
pub(crate) mod interpreter;
mod limits;
mod listeners;
mod notes;
mod orders;
mod orphans;
mod processes;
mod program;
mod reload;
mod signals;
pub(crate) mod spawn;

mod systemd;
pub(crate) mod trial;
mod unix_socket;
mod weigh;
mod zygote;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use flupd_channel::packet;
use flupd_channel::startup::{Task, send_task};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::admin::Admin;
use self::cause::Cause;
use self::decide::{Action, Event, Plan, State};
use self::limits::OpenFiles;
use self::listeners::Listeners;
use self::orders::Waiting;
use self::processes::{Events, GatewayProcess, Process, watch_worker};
use self::program::Program;
pub(crate) use self::reload::Source;
use self::reload::{Found, Prepared, Reloads};
use self::signals::{Held, Signals};
use self::systemd::Systemd;
use self::zygote::{ForkedWorker, ZygoteProcess};
use crate::admin::Outcome;
use crate::config::{AppConfig, AppId, GatewayConfig, GroupId, ServeConfig};
use crate::control::ToGateway;
use crate::observe::collector::{GATEWAY, Origin};
use crate::observe::logs::Logs;

/// Events that wait for the loop; the tasks that watch wait with theirs.
const EVENTS: usize = 256;

/// The exit status of a flupd that can't start.
const FAILURE: u8 = 1;

/// How long killed processes may take to end.
const BURIAL: Duration = Duration::from_secs(1);

/// Runs until it is told to stop, and returns the exit status. What keeps it from
/// starting is logged: an address, the interpreter, our library or a limit.
///
/// # Errors
/// When there is no log.
pub(crate) fn run(config: ServeConfig, source: Source) -> anyhow::Result<u8> {
    let held = signals::hold()?;
    // Before anything else is opened: see `Listeners::open`.
    let listeners = Listeners::open(&config.listeners);
    let logs = Logs::start(&config.logs).context("the log can't be written")?;
    let status = listeners
        .map_err(Into::into)
        .and_then(|listeners| supervise(config, source, listeners, &logs, &held))
        .unwrap_or_else(|error| {
            tracing::error!(error = %format_args!("{error:#}"), "flupd can't start");
            FAILURE
        });
    logs.finish();
    Ok(status)
}

fn supervise(
    config: ServeConfig,
    source: Source,
    listeners: Listeners,
    logs: &Logs,
    held: &Held,
) -> anyhow::Result<u8> {
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
        let admin = config.control.as_ref().map_or_else(|| Ok(Admin::none()), Admin::listen)?;
        let plans = config.apps().map(|(id, app)| (GroupId::first(id), plan(app)));
        let (events, inbox) = mpsc::channel(EVENTS);
        let supervisor = Supervisor {
            state: State::new(plans, config.is_solo(), config.graceful_timeout, Instant::now()),
            reloads: Reloads::new(source, &config),
            config,
            programs,
            preload,
            open_files,
            listeners: Some(listeners),
            gateway: None,
            bell: None,
            workers: BTreeMap::new(),
            children: signal(SignalKind::child())?,
            events,
            logs,
            admin,
            waiting: Waiting::default(),
            systemd: Systemd::new(),
        };
        Ok(supervisor.serve(inbox, signals).await)
    })
}

/// What runs this generation of each app.
async fn programs(
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

const fn plan(app: &AppConfig) -> Plan {
    let &AppConfig { workers, preload, max_age, max_memory, .. } = app;
    Plan { workers, preload, max_age, max_memory }
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
                workers = program.app.workers,
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

/// The state, and what it decides over.
struct Supervisor<'l> {
    state: State,
    config: ServeConfig,
    reloads: Reloads,
    /// What runs each generation of an app, and its zygote.
    programs: BTreeMap<GroupId, Program>,
    /// Whether an app has a zygote, so that orphans become our children.
    preload: bool,
    open_files: OpenFiles,
    listeners: Option<Listeners>,
    gateway: Option<GatewayProcess>,
    /// What workers ring when this gateway sleeps.
    bell: Option<OwnedFd>,
    workers: BTreeMap<u64, Worker>,
    /// Comes when a child has ended, ours or an orphan.
    children: Signal,
    events: Events,
    logs: &'l Logs,
    admin: Admin,
    waiting: Waiting,
    systemd: Systemd,
}

/// A worker, by how it came to be.
enum Worker {
    Started(Process),
    /// Serves connections itself; the socket on which it is told to stop.
    Solo(Process, OwnedFd),
    Forked(ForkedWorker),
}

impl Supervisor<'_> {
    async fn serve(mut self, mut inbox: mpsc::Receiver<Event>, mut signals: Signals) -> u8 {
        let mut event = Event::Tick;
        let mut scales = weigh::scales();
        loop {
            if let Some(status) = self.handle(event) {
                self.bury(&mut inbox).await;
                return status;
            }
            let wake = self.state.wake_at().map(tokio::time::Instant::from_std);
            event = tokio::select! {
                biased;
                event = signals.next() => {
                    if matches!(event, Event::ReloadWanted) {
                        self.waiting.reload_wanted();
                    }
                    event
                }
                Some(event) = inbox.recv() => event,
                ordered = self.admin.next() => self.obey(ordered),
                () = self.systemd.watchdog() => Event::Tick,
                found = self.reloads.found() => self.found(found),
                Some(()) = self.children.recv(), if self.preload => {
                    self.bury_orphans();
                    Event::Tick
                }
                _ = scales.tick(), if self.state.weighed().next().is_some() => self.weigh(),
                () = tokio::time::sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)),
                    if wake.is_some() => Event::Tick,
            };
        }
    }

    /// Decides over one event and what follows from it at once. Returns the
    /// exit status at the end.
    fn handle(&mut self, event: Event) -> Option<u8> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.forget(&event);
            for action in self.state.decide(event, Instant::now()) {
                match action {
                    Action::Exit(status) => return Some(status),
                    action => events.extend(self.carry_out(action)),
                }
            }
        }
        None
    }

    /// Waits for those that were killed at the end, so that none outlives us.
    async fn bury(&mut self, inbox: &mut mpsc::Receiver<Event>) {
        let all = async {
            while self.gateway.is_some() || !self.workers.is_empty() || self.has_zygote() {
                let Some(event) = inbox.recv().await else { return };
                self.forget(&event);
            }
        };
        // One that hangs in the kernel is left to it.
        let _ = tokio::time::timeout(BURIAL, all).await;
    }

    /// A process that has ended is nothing to be told or killed any more.
    fn forget(&mut self, event: &Event) {
        match event {
            Event::WorkerExited { worker, .. } => drop(self.workers.remove(worker)),
            Event::GatewayExited { .. } => {
                self.gateway = None;
                self.waiting.nobody_tells();
            }
            Event::ZygoteExited { group, .. } => {
                if let Some(program) = self.programs.get_mut(group) {
                    program.zygote = None;
                }
            }
            _ => return,
        }
        if self.preload {
            self.bury_orphans();
        }
    }

    /// Waits for the children that nobody else waits for.
    fn bury_orphans(&self) {
        // An interpreter that is asked who it is is waited for where that is done.
        if self.reloads.is_looking() {
            return;
        }
        orphans::bury(|pid| {
            let gateway = self.gateway.as_ref().map(GatewayProcess::pid);
            let workers = self.workers.values().map(Worker::pid);
            let zygotes = self.programs.values().map(Program::zygote_pid);
            workers.chain(zygotes).chain([gateway]).any(|known| known == Some(pid))
        });
    }

    fn has_zygote(&self) -> bool {
        self.programs.values().any(|program| program.zygote.is_some())
    }

    /// Does one thing. What can't be started is told as one that has ended.
    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::SpawnGateway => {
                return self.start_gateway().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnWorker(group, worker) => {
                return self.start_worker(group, worker).err().map(|error| Event::WorkerExited {
                    worker,
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnZygote(group) => {
                return self.start_zygote(group).err().map(|error| Event::ZygoteExited {
                    group,
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::KillGateway => drop(self.gateway.as_ref().map(GatewayProcess::kill)),
            Action::KillZygote(group) => {
                let zygote = self.programs.get(&group).and_then(|program| program.zygote.as_ref());
                if let Some(zygote) = zygote {
                    zygote.kill();
                }
            }
            Action::KillWorker(worker) => drop(self.workers.get_mut(&worker).map(Worker::kill)),
            Action::StopWorker(worker) => {
                if let Some(Worker::Solo(_, socket)) = self.workers.get(&worker) {
                    // One that has gone has stopped.
                    let _ = packet::send(socket, b"stop", &[]);
                }
            }
            Action::Tell(message) => {
                let ends = match message {
                    ToGateway::WorkerStarted { worker, .. } => self.ends(worker),
                    _ => Vec::new(),
                };
                self.tell(message, ends);
            }
            Action::PrepareReload => {
                let scope = self.waiting.reload_begins();
                self.reloads.begin(&self.config, scope);
            }
            Action::Switch => {
                return self.switch().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be given the new sockets: {error}")),
                });
            }
            Action::ReloadFailed(why) => {
                self.reloads.forget();
                self.waiting.reload_ended(&Outcome::Failed(why));
            }
            Action::PassOn(question, snapshot) => self.waiting.told(question, snapshot),
            Action::NoReload(why) => self.waiting.no_reload(&Outcome::Failed(why)),
            Action::Forget(group) => drop(self.programs.remove(&group)),
            Action::ReopenLogs => self.logs.reopen(),
            Action::CloseListeners => self.listeners = None,
            Action::Log(note) => {
                self.systemd.heed(&note);
                note.write(None);
            }
            Action::LogOf(group, note) => note.write(self.app_name(group.app)),
            Action::Exit(_) => {}
        }
        None
    }

    /// What a reload needs was looked for: opens its sockets and says what is to
    /// be decided over.
    fn found(&mut self, found: anyhow::Result<Found>) -> Event {
        if self.preload {
            self.bury_orphans();
        }
        let prepared = found.and_then(|(config, programs)| {
            let before = self.listeners.as_ref().context("flupd is stopping")?;
            let listeners = before.reopen(&config.listeners)?;
            if !self.preload && config.apps.values().any(|app| app.preload) {
                orphans::inherit().context("can't become the heir of orphaned workers")?;
                self.preload = true;
            }
            Ok((config, programs, listeners))
        });
        let (config, programs, listeners) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Event::ReloadImpossible(format!("{error:#}")),
        };
        for (app, config) in reload::added(&config, &self.config) {
            self.tell(ToGateway::AppAdded { app, config }, Vec::new());
        }
        let plan = reload::reload_plan(&config, &programs, &self.config);
        let apps = programs.keys().map(|group| group.app).collect();
        self.programs.extend(programs);
        self.reloads.prepare(config, listeners, apps);
        Event::Reload(plan)
    }

    /// What was prepared holds from now on.
    fn switch(&mut self) -> io::Result<()> {
        let Some(Prepared { config, listeners, .. }) = self.reloads.take() else { return Ok(()) };
        let new = listeners.without(self.listeners.as_ref().unwrap_or(&Listeners::default()))?;
        self.config = config;
        let config = self.gateway_config(&listeners);
        // What is not listened on any more is closed here first: the gateway takes
        // what has come in before that.
        self.listeners = Some(listeners);
        self.tell(ToGateway::Reconfigure(config), new);
        self.waiting.reload_ended(&Outcome::Done);
        Ok(())
    }

    fn gateway_config(&self, listeners: &Listeners) -> GatewayConfig {
        self.config.gateway(listeners.configs(), |app| self.reloads.active(app))
    }

    fn start_gateway(&mut self) -> io::Result<()> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let sockets = listeners.duplicate()?;
        let config = self.gateway_config(listeners);
        let (ours, theirs) = packet::pair()?;
        let streams = self.logs.capture(&Origin { process: GATEWAY, app: None, worker: None })?;
        let child = spawn::gateway(theirs, &self.config.privileges, streams)?;
        let gateway = GatewayProcess::watch(child, ours, self.events.clone())?;
        let bell = flupd_channel::bell()?;
        let mut fds = sockets;
        fds.extend(self.logs.for_gateway()?);
        fds.push(bell.try_clone()?);
        gateway.tell(ToGateway::Configure(config), fds);
        self.gateway = Some(gateway);
        self.bell = Some(bell);
        Ok(())
    }

    fn start_zygote(&mut self, group: GroupId) -> io::Result<()> {
        let program = self.programs.get_mut(&group).ok_or(io::ErrorKind::NotFound)?;
        let (ours, theirs) = packet::pair()?;
        send_task(&ours, &Task::Preload(program.zygote_config()), &[])?;
        let streams = self.logs.capture(&program.origin(None))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        program.zygote = Some(ZygoteProcess::watch(group, child, ours, self.events.clone())?);
        Ok(())
    }

    fn start_worker(&mut self, group: GroupId, worker: u64) -> io::Result<()> {
        let program = self.programs.get(&group).ok_or(io::ErrorKind::NotFound)?;
        if program.app.solo {
            let process = self.start_solo(program, worker)?;
            self.workers.insert(worker, process);
            return Ok(());
        }
        let bell = self.bell.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let ends = flupd_channel::create(program.app.threads, bell)?.with_probe()?;
        if program.app.preload {
            let zygote = program.zygote.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            // The gateway hears of it once it lives.
            let streams = self.logs.capture(&program.origin(Some(worker)))?;
            let forked = zygote.fork(worker, ends, streams)?;
            self.workers.insert(worker, Worker::Forked(forked));
            return Ok(());
        }
        let task = Task::Serve(program.worker_config(worker));
        let (ours, theirs) = packet::pair()?;
        let fds: Vec<_> = ends.worker.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &task, &fds)?;
        let streams = self.logs.capture(&program.origin(Some(worker)))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        let started = ToGateway::WorkerStarted { group, worker, pid: process.pid(), probed: true };
        self.workers.insert(worker, Worker::Started(process));
        self.tell(started, ends.gateway);
        Ok(())
    }

    /// Starts a worker that serves connections itself.
    fn start_solo(&self, program: &Program, worker: u64) -> io::Result<Worker> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let gateway = self.gateway_config(listeners);
        let gateway = serde_json::to_string(&gateway)?;
        let task = Task::Solo { worker: program.worker_config(worker), gateway };
        let mut sockets = listeners.duplicate()?;
        sockets.extend(self.logs.for_gateway()?);
        let (ours, theirs) = packet::pair()?;
        let fds: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &task, &fds)?;
        let tell = ours.try_clone()?;
        let streams = self.logs.capture(&program.origin(Some(worker)))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        Ok(Worker::Solo(process, tell))
    }

    /// What the log calls an app, where there can be several.
    fn app_name(&self, app: AppId) -> Option<&str> {
        self.config.app(app).and_then(|app| app.name.as_deref())
    }

    /// The gateway's ends of the channel of a worker that was forked just now.
    fn ends(&mut self, worker: u64) -> Vec<OwnedFd> {
        match self.workers.get_mut(&worker) {
            Some(Worker::Forked(worker)) => worker.take_ends(),
            Some(Worker::Started(_) | Worker::Solo(..)) | None => Vec::new(),
        }
    }

    fn tell(&self, message: ToGateway, fds: Vec<OwnedFd>) {
        if let Some(gateway) = &self.gateway {
            gateway.tell(message, fds);
        }
    }
}

impl Worker {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Started(process) | Self::Solo(process, _) => Some(process.pid()),
            Self::Forked(worker) => worker.pid(),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Started(process) | Self::Solo(process, _) => process.kill(),
            Self::Forked(worker) => worker.kill(),
        }
    }
}
