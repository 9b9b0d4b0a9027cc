//! A gateway inside somebody else's program: a script that serves its app by
//! itself and has no `flupd serve` around it.
//!
//! The script plays the supervisor's part with [`Gateway`]. The gateway is the
//! one that `flupd serve` starts, fed by the same messages; [`run`] runs it on a
//! thread of the script's process or in a process that it has forked.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use flupd_channel::{Ends, packet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::{AppId, GatewayApp, GroupId, Limits, ListenerConfig, Timeouts};
pub use crate::config::{GatewayConfig, Protocol, Role};
use crate::control::{FromGateway, ToGateway};
pub use crate::gateway::door::Door;
use crate::observe::log::{self, LogConfig, LogFormat, LogLevel, Output};
use crate::observe::sink::{Sink, Target};

/// The only app there is.
const GROUP: GroupId = GroupId::first(AppId(0));

/// How long what is logged last may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a script can say about its gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is spoken on the socket.
    pub protocol: Protocol,
    /// The socket's address for people.
    pub address: String,
    /// How many requests can be inside the app at once.
    pub concurrency: usize,
    /// Whether a connection may carry several requests at once.
    pub multiplexed: bool,
    /// The mount point to report; none: what the web server's params tell.
    pub script_name: Option<String>,
    /// What web servers may ask for over FastCGI.
    pub roles: Vec<Role>,
    /// How long a peer may be silent; none: as long as `flupd serve` lets it.
    pub patience: Option<Duration>,
    /// What the flupd that runs the script was told; none: there is no flupd.
    pub within: Option<GatewayConfig>,
}

/// What the gateway says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Nothing new.
    Nothing,
    /// It accepts connections.
    Listening,
    /// A worker must be ended; why.
    Broken(u64, String),
    /// It has ended.
    Gone,
}

/// The script's end of a gateway.
#[derive(Debug)]
pub struct Gateway {
    control: OwnedFd,
    bell: OwnedFd,
}

impl Gateway {
    /// Prepares a gateway that listens on this socket. What comes back is for
    /// [`run`].
    ///
    /// # Errors
    /// What the operating system reports, usually that no descriptor is left.
    pub fn new(options: Options, listener: OwnedFd) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = packet::pair()?;
        let gateway = Self { control: ours, bell: flupd_channel::bell()? };
        let fds = [listener.as_fd(), gateway.bell.as_fd()];
        gateway.send(&ToGateway::Configure(configuration(options)), &fds)?;
        Ok((gateway, theirs))
    }

    /// What connects one app thread with the gateway.
    ///
    /// # Errors
    /// What the operating system reports, usually that no descriptor is left.
    pub fn channel(&self) -> io::Result<Ends> {
        flupd_channel::create(1, &self.bell)
    }

    /// Takes on a worker of one app thread, which gets requests at once; `ends`
    /// are the gateway's of its [channel](Self::channel). Numbers must differ.
    ///
    /// # Errors
    /// That the gateway has gone.
    pub fn employ(&self, worker: u64, pid: u32, ends: &[OwnedFd]) -> io::Result<()> {
        let ends: Vec<BorrowedFd<'_>> = ends.iter().map(AsFd::as_fd).collect();
        self.send(&ToGateway::WorkerStarted { group: GROUP, worker, pid, probed: false }, &ends)?;
        self.send(&ToGateway::WorkerReady { group: GROUP, worker }, &[])
    }

    /// The worker gets no more requests, and its port is closed when it has none.
    ///
    /// # Errors
    /// That the gateway has gone.
    pub fn drain(&self, worker: u64) -> io::Result<()> {
        self.send(&ToGateway::WorkerDrain { group: GROUP, worker }, &[])
    }

    /// The worker has ended: `cause` is for the log.
    ///
    /// # Errors
    /// That the gateway has gone.
    pub fn exited(&self, worker: u64, cause: String, expected: bool) -> io::Result<()> {
        self.send(&ToGateway::WorkerExited { group: GROUP, worker, cause, expected }, &[])
    }

    /// Accept no more, finish what was begun, then end.
    ///
    /// # Errors
    /// That the gateway has gone.
    pub fn stop(&self) -> io::Result<()> {
        self.send(&ToGateway::Stop, &[])
    }

    /// What the gateway has said. Does not wait.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn report(&self) -> io::Result<Report> {
        let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            return Ok(Report::Nothing);
        }
        match packet::receive(&self.control)? {
            None => Ok(Report::Gone),
            Some((message, _)) => Ok(match serde_json::from_slice(&message)? {
                FromGateway::Listening => Report::Listening,
                FromGateway::WorkerBroken { group: _, worker, reason } => {
                    Report::Broken(worker, reason)
                }
                // Without time limits no worker is worn.
                FromGateway::WorkerServed { .. }
                | FromGateway::WorkerWorn { .. }
                | FromGateway::WorkerSpent { .. }
                | FromGateway::Reconfigured
                | FromGateway::Pong
                | FromGateway::Closed
                | FromGateway::Ask { .. }
                | FromGateway::Canary { .. }
                | FromGateway::WorkerProved { .. }
                | FromGateway::Load { .. }
                | FromGateway::Told { .. } => Report::Nothing,
            }),
        }
    }

    fn send(&self, message: &ToGateway, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        packet::send(&self.control, &serde_json::to_vec(message)?, fds)
    }
}

/// Readable when there is a [report](Gateway::report).
impl AsFd for Gateway {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

/// Runs the gateway on this thread until it was told to stop and all is answered,
/// or its [`Gateway`] has gone. `door`, if there is one, says who may connect.
///
/// # Errors
/// When it can't do its work at all; the message is for the administrator.
pub fn run(control: OwnedFd, door: Option<Door>) -> anyhow::Result<()> {
    let log = log()?;
    crate::gateway::door::set(door);
    let done = crate::gateway::run(control, Some(Output::Sink(Arc::clone(&log))));
    crate::gateway::door::set(None);
    log.flush(FAREWELL);
    done
}

/// The log of this process: its standard error.
fn log() -> io::Result<Arc<Sink>> {
    static LOG: Mutex<Option<Arc<Sink>>> = Mutex::new(None);
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(log) = &*log {
        return Ok(Arc::clone(log));
    }
    let opened = Sink::open(Target::Stderr)?;
    *log = Some(Arc::clone(&opened));
    Ok(opened)
}

/// Reads the configuration that a flupd has passed to a process of its own.
///
/// # Errors
/// When it is none.
pub fn parse(config: &str) -> anyhow::Result<GatewayConfig> {
    serde_json::from_str(config).context("the configuration can't be read")
}

/// What flupd was told counts where the script is silent; its listener speaks the
/// protocol that the web server was promised.
fn configuration(options: Options) -> GatewayConfig {
    let Options { protocol, address, mut roles, script_name, concurrency, .. } = options;
    let mut config = options.within.unwrap_or_else(by_itself);
    let around = config.listeners.pop().unwrap_or_else(|| ListenerConfig {
        protocol,
        address,
        apps: Vec::new(),
        roles: roles.clone(),
        allow: Vec::new(),
    });
    // Whoever names a role wants it.
    roles.extend(around.roles.iter().filter(|role| **role != Role::Responder));
    let app = config.apps.pop_first().map(|(_, app)| app).unwrap_or_default();
    if !options.multiplexed {
        config.limits.requests_per_connection = 1;
    }
    if let Some(patience) = options.patience {
        (config.timeouts.read, config.timeouts.write) = (patience, patience);
    }
    // With several threads it is no matter which process has the connection.
    config.alone &= concurrency == 1;
    config.listeners = vec![ListenerConfig { apps: vec![GROUP.app], roles, ..around }];
    let script_name = script_name.or(app.script_name);
    let generation = GROUP.generation;
    let app = GatewayApp { generation, script_name, concurrency, ..app };
    config.apps = BTreeMap::from([(GROUP.app, app)]);
    config
}

/// What holds where nobody has said anything.
fn by_itself() -> GatewayConfig {
    let journal = log::stderr_is_the_journal();
    GatewayConfig {
        alone: false,
        listeners: Vec::new(),
        apps: BTreeMap::new(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        log: LogConfig { level: LogLevel::Warn, format: LogFormat::Text, journal },
        access: None,
        make_ids: false,
        otlp: None,
    }
}
