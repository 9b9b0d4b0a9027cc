//! The process that a person starts: it holds the listening sockets, starts the
//! gateway and the workers, and replaces what ends. It reads no byte that came
//! from a web server.
//!
//! What to do is decided in [`decide`], purely, and done in [`carry_out`]; here is
//! the loop between the two.

mod admin;
mod backoff;
mod beginning;
mod carry_out;
mod cause;
mod children;
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
mod restarts;
mod signals;
mod solo;
pub(crate) mod spawn;
mod start;
mod switch;
mod systemd;
mod teller;
pub(crate) mod trial;
mod unix_socket;
mod upgrade;
mod weigh;
mod worker;
mod zygote;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use self::admin::Admin;
pub(crate) use self::beginning::Beginning;
use self::decide::{Event, State};
use self::limits::OpenFiles;
use self::listeners::Listeners;
use self::orders::Waiting;
use self::processes::{Events, GatewayProcess};
use self::program::Program;
use self::reload::Reloads;
pub(crate) use self::reload::Source;
use self::signals::Signals;
pub(crate) use self::start::run;
use self::systemd::Systemd;
pub(crate) use self::upgrade::Lineage;
use self::upgrade::Upgrade;
use self::worker::Worker;
use crate::admin::Outcome;
use crate::config::{GroupId, ServeConfig};
use crate::observe::log::LogLevel;
use crate::observe::logs::Logs;
use crate::observe::onlook::LastWords;

/// How long killed processes may take to end.
const BURIAL: Duration = Duration::from_secs(1);

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
    /// Tells the status of solo workers.
    teller: Option<GatewayProcess>,
    /// What workers ring when this gateway sleeps.
    bell: Option<OwnedFd>,
    workers: BTreeMap<u64, Worker>,
    /// Of the solo worker that has ended just now.
    last_words: Option<LastWords>,
    /// The level of the log, where an order has changed it.
    log_level: Option<LogLevel>,
    /// What solo workers count.
    told: solo::Told,
    /// Comes when a child has ended, ours or an orphan.
    children: Signal,
    events: Events,
    logs: &'l Logs,
    beginning: &'l Beginning,
    admin: Admin,
    waiting: Waiting,
    systemd: Systemd,
    upgrade: Upgrade,
}

impl Supervisor<'_> {
    async fn serve(mut self, mut inbox: mpsc::Receiver<Event>, mut signals: Signals) -> u8 {
        let mut event = Event::Tick;
        let mut scales = weigh::scales();
        loop {
            if let Some(status) = self.handle(event) {
                self.bury(&mut inbox).await;
                self.outlive_elder(&mut signals).await;
                if signals.close().await {
                    self.beginning.forgive();
                }
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
                () = self.systemd.watchdog(self.state.is_well()) => Event::Tick,
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
            Event::WorkerExited { worker, .. } => {
                let solo = self.workers.remove(worker);
                self.last_words = solo.and_then(|worker| Some(worker.solo()?.last_words()));
            }
            Event::TellerExited { .. } => self.teller = None,
            Event::GatewayExited { .. } => {
                self.gateway = None;
                self.waiting.nobody_tells();
                if self.admin.is_retired() {
                    self.waiting.upgrade_ended(&Outcome::Done);
                }
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
            let others = [gateway, self.upgrade.successor_pid()];
            workers.chain(zygotes).chain(others).any(|known| known == Some(pid))
        });
    }

    fn has_zygote(&self) -> bool {
        self.programs.values().any(|program| program.zygote.is_some())
    }
}
