//! The process that a person starts: it holds the listening sockets, starts the
//! gateway and the workers, and replaces what ends. It reads no byte that came
//! from a web server.
//!
//! What to do is decided in [`decide`], purely; this loop carries it out.

mod backoff;
mod cause;
mod decide;
mod end;
mod interpreter;
mod limits;
mod listeners;
mod notes;
mod orphans;
mod processes;
pub(crate) mod spawn;
mod unix_socket;
mod zygote;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use flupd_channel::packet;
use flupd_channel::startup::{Task, WorkerConfig, ZygoteConfig, send_task};
use nix::sys::signal::SigSet;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::cause::Cause;
use self::decide::{Action, Event, Mode, State};
use self::interpreter::Interpreter;
use self::limits::OpenFiles;
use self::listeners::Listeners;
use self::processes::{Events, GatewayProcess, Process, watch_worker};
use self::zygote::{ForkedWorker, ZygoteProcess};
use crate::config::ServeConfig;
use crate::control::ToGateway;

/// Events that wait for the loop; the tasks that watch wait with theirs.
const EVENTS: usize = 256;

/// How long killed processes may take to end.
const BURIAL: Duration = Duration::from_secs(1);

/// Runs until it is told to stop, and returns the exit status.
///
/// # Errors
/// What keeps it from starting: an address, the interpreter, the worker library
/// or a limit.
pub(crate) fn run(config: ServeConfig) -> anyhow::Result<u8> {
    // A stop that comes before there are handlers waits for them, so that it
    // leaves no socket behind.
    let mut stops = SigSet::empty();
    stops.add(nix::sys::signal::SIGTERM);
    stops.add(nix::sys::signal::SIGINT);
    stops.thread_block()?;
    // Before anything else is opened: see `Listeners::open`.
    let listeners = Listeners::open(&config.listeners, &config.socket)?;
    let open_files = OpenFiles::raise(&config)?;
    if config.preload {
        orphans::inherit().context("can't become the heir of orphaned workers")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("can't watch for signals")?;
        stops.thread_unblock()?;
        let library = spawn::library(if config.solo { spawn::SOLO } else { spawn::WORKER })?;
        let interpreter = tokio::select! {
            found = Interpreter::find(config.python.as_deref()) => found?,
            () = signals.next() => return Ok(0),
        };
        start_log(&config, &listeners, &interpreter);
        let (events, inbox) = mpsc::channel(EVENTS);
        let supervisor = Supervisor {
            state: State::new(
                config.workers,
                mode(&config),
                config.graceful_timeout,
                Instant::now(),
            ),
            config,
            interpreter,
            library,
            open_files,
            listeners: Some(listeners),
            gateway: None,
            bell: None,
            zygote: None,
            workers: BTreeMap::new(),
            children: signal(SignalKind::child())?,
            events,
        };
        Ok(supervisor.serve(inbox, signals).await)
    })
}

fn mode(config: &ServeConfig) -> Mode {
    match (config.solo, config.preload) {
        (true, _) => Mode::Solo,
        (false, true) => Mode::Preload,
        (false, false) => Mode::Routed,
    }
}

fn start_log(config: &ServeConfig, listeners: &Listeners, interpreter: &Interpreter) {
    let addresses: Vec<_> = listeners
        .configs()
        .iter()
        .map(|listener| format!("{} {}", listener.protocol, listener.address))
        .collect();
    tracing::info!(
        version = crate::cli::VERSION,
        pid = std::process::id(),
        app = config.app,
        listen = addresses.join(", "),
        python = %interpreter.executable.display(),
        python_version = interpreter.version,
        workers = config.workers,
        threads = config.threads,
        preload = config.preload,
        solo = config.solo,
        defaults = config.defaults.join(", "),
        "starting"
    );
}

/// The state, and what it decides over.
struct Supervisor {
    state: State,
    config: ServeConfig,
    interpreter: Interpreter,
    library: PathBuf,
    open_files: OpenFiles,
    listeners: Option<Listeners>,
    gateway: Option<GatewayProcess>,
    /// What workers ring when this gateway sleeps.
    bell: Option<OwnedFd>,
    zygote: Option<ZygoteProcess>,
    workers: BTreeMap<u64, Worker>,
    /// Comes when a child has ended, ours or an orphan.
    children: Signal,
    events: Events,
}

/// A worker, by how it came to be.
enum Worker {
    Started(Process),
    /// Serves connections itself; the socket on which it is told to stop.
    Solo(Process, OwnedFd),
    Forked(ForkedWorker),
}

impl Supervisor {
    async fn serve(mut self, mut inbox: mpsc::Receiver<Event>, mut signals: Signals) -> u8 {
        let mut event = Event::Tick;
        loop {
            if let Some(status) = self.handle(event) {
                self.bury(&mut inbox).await;
                return status;
            }
            let wake = self.state.wake_at().map(tokio::time::Instant::from_std);
            event = tokio::select! {
                biased;
                () = signals.next() => Event::Signal,
                Some(event) = inbox.recv() => event,
                Some(()) = self.children.recv(), if self.config.preload => {
                    self.bury_orphans();
                    Event::Tick
                }
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
            while self.gateway.is_some() || self.zygote.is_some() || !self.workers.is_empty() {
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
            Event::GatewayExited { .. } => self.gateway = None,
            Event::ZygoteExited { .. } => self.zygote = None,
            _ => return,
        }
        if self.config.preload {
            self.bury_orphans();
        }
    }

    /// Waits for the children that nobody else waits for.
    fn bury_orphans(&self) {
        orphans::bury(|pid| {
            let ours = [self.gateway.as_ref().map(GatewayProcess::pid)];
            let zygote = [self.zygote.as_ref().map(ZygoteProcess::pid)];
            let workers = self.workers.values().map(Worker::pid);
            ours.into_iter().chain(zygote).chain(workers).any(|known| known == Some(pid))
        });
    }

    /// Does one thing. What can't be started is told as one that has ended.
    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::SpawnGateway => {
                return self.start_gateway().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnWorker(worker) => {
                return self.start_worker(worker).err().map(|error| Event::WorkerExited {
                    worker,
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnZygote => {
                return self.start_zygote().err().map(|error| Event::ZygoteExited {
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::KillGateway => drop(self.gateway.as_ref().map(GatewayProcess::kill)),
            Action::KillZygote => drop(self.zygote.as_ref().map(ZygoteProcess::kill)),
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
            Action::CloseListeners => self.listeners = None,
            Action::Log(note) => note.write(),
            Action::Exit(_) => {}
        }
        None
    }

    fn start_gateway(&mut self) -> io::Result<()> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let sockets = listeners.duplicate()?;
        let config = self.config.gateway(listeners.configs().to_vec());
        let (ours, theirs) = packet::pair()?;
        let child = spawn::gateway(theirs)?;
        let gateway = GatewayProcess::watch(child, ours, self.events.clone())?;
        let bell = flupd_channel::bell()?;
        let mut fds = sockets;
        fds.push(bell.try_clone()?);
        gateway.tell(ToGateway::Configure(config), fds);
        self.gateway = Some(gateway);
        self.bell = Some(bell);
        Ok(())
    }

    fn start_zygote(&mut self) -> io::Result<()> {
        let (ours, theirs) = packet::pair()?;
        let task = Task::Preload(ZygoteConfig {
            app: self.config.app.clone(),
            chdir: self.config.chdir.clone(),
            path: self.config.path.clone(),
            multiprocess: self.config.workers > 1,
        });
        send_task(&ours, &task, &[])?;
        let python = &self.interpreter.executable;
        let child = spawn::worker(python, &self.library, theirs, self.open_files.before())?;
        self.zygote = Some(ZygoteProcess::watch(child, ours, self.events.clone())?);
        Ok(())
    }

    fn start_worker(&mut self, worker: u64) -> io::Result<()> {
        if self.config.solo {
            return self.start_solo(worker);
        }
        let bell = self.bell.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let ends = flupd_channel::create(self.config.threads, bell)?;
        if self.config.preload {
            let zygote = self.zygote.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            // The gateway hears of it once it lives.
            self.workers.insert(worker, Worker::Forked(zygote.fork(worker, ends)?));
            return Ok(());
        }
        let task = Task::Serve(self.worker_config(worker));
        let (ours, theirs) = packet::pair()?;
        let fds: Vec<_> = ends.worker.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &task, &fds)?;
        let python = &self.interpreter.executable;
        let child = spawn::worker(python, &self.library, theirs, self.open_files.before())?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        let started = ToGateway::WorkerStarted { worker, pid: process.pid() };
        self.workers.insert(worker, Worker::Started(process));
        self.tell(started, ends.gateway);
        Ok(())
    }

    /// Starts a worker that serves connections itself.
    fn start_solo(&mut self, worker: u64) -> io::Result<()> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let gateway = self.config.gateway(listeners.configs().to_vec());
        let gateway = serde_json::to_string(&gateway)?;
        let task = Task::Solo { worker: self.worker_config(worker), gateway };
        let sockets = listeners.duplicate()?;
        let (ours, theirs) = packet::pair()?;
        let fds: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &task, &fds)?;
        let tell = ours.try_clone()?;
        let python = &self.interpreter.executable;
        let child = spawn::worker(python, &self.library, theirs, self.open_files.before())?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        self.workers.insert(worker, Worker::Solo(process, tell));
        Ok(())
    }

    fn worker_config(&self, worker: u64) -> WorkerConfig {
        WorkerConfig {
            worker,
            app: self.config.app.clone(),
            chdir: self.config.chdir.clone(),
            path: self.config.path.clone(),
            multiprocess: self.config.workers > 1,
        }
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

/// The signals that mean: stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
