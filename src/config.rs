//! What flupd was asked to do, checked: the form in which every process gets it.

pub mod address;
mod check;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::address::Address;
use crate::observe::log::LogConfig;

/// All of one `flupd serve`.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The app as the user named it.
    pub app: String,
    /// Where to listen, and which protocol is spoken there.
    pub listeners: Vec<(Protocol, Address)>,
    /// How unix sockets are made.
    pub socket: SocketConfig,
    /// How many worker processes.
    pub workers: usize,
    /// How many app threads in each.
    pub threads: usize,
    /// Whether the app is imported once, and workers are forked from there.
    pub preload: bool,
    /// Whether each worker serves connections itself, on its one thread.
    pub solo: bool,
    /// The interpreter or virtualenv that was asked for.
    pub python: Option<PathBuf>,
    /// The directory to enter before the import, absolute.
    pub chdir: Option<PathBuf>,
    /// Directories to put in front of `sys.path`, absolute.
    pub path: Vec<PathBuf>,
    /// How long running requests may take after a SIGTERM.
    pub graceful_timeout: Duration,
    /// The mount point to report; none: what the web server's params tell.
    pub script_name: Option<String>,
    /// Bounds on what one peer can make us store.
    pub limits: Limits,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// How to log.
    pub log: LogConfig,
    /// The options of note that were not given, for the start log.
    pub defaults: Vec<&'static str>,
}

impl ServeConfig {
    /// The gateway's part, once it is known which sockets there are.
    #[must_use]
    pub fn gateway(&self, listeners: Vec<ListenerConfig>) -> GatewayConfig {
        GatewayConfig {
            listeners,
            script_name: self.script_name.clone(),
            concurrency: self.workers * self.threads,
            limits: self.limits,
            timeouts: self.timeouts,
            log: self.log,
        }
    }
}

/// Mode and ownership of unix sockets that flupd makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// The file mode.
    pub mode: u32,
    /// The owner, by name or number.
    pub owner: Option<String>,
    /// The group, by name or number.
    pub group: Option<String>,
}

/// The protocol spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// FastCGI 1.0.
    Fastcgi,
    /// SCGI.
    Scgi,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fastcgi => "fastcgi",
            Self::Scgi => "scgi",
        })
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerConfig {
    /// The protocol spoken on it.
    pub protocol: Protocol,
    /// The address for people: `unix:/path`, `127.0.0.1:9000`, `[::1]:9000`,
    /// `fd:0`, `systemd:http.socket`.
    pub address: String,
}

/// What the gateway has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// The listeners, in the order in which their sockets are passed.
    pub listeners: Vec<ListenerConfig>,
    /// The mount point to report instead of the one the web server's params
    /// tell.
    pub script_name: Option<String>,
    /// How many requests can be inside the app at once: workers × threads.
    pub concurrency: usize,
    /// Bounds on what one peer can make us store.
    pub limits: Limits,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// How to log.
    pub log: LogConfig,
}

/// Bounds on what is stored. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The params of one request.
    pub params: usize,
    /// A request body; a longer one is answered 413.
    pub body: u64,
    /// The part of a request body that is held in memory; the rest of a longer
    /// one goes to a temporary file.
    pub body_memory: usize,
    /// What may wait for a slow client, per request, before the app has to wait.
    pub response_memory: usize,
    /// Requests that wait for an app thread; one more is answered 503.
    pub queue: usize,
    /// Requests open at once on one FastCGI connection.
    pub requests_per_connection: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            params: 1 << 20,
            body: 1 << 30,
            body_memory: 1 << 20,
            response_memory: 1 << 20,
            queue: 1024,
            requests_per_connection: 128,
        }
    }
}

/// Bounds on waiting for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Silence inside a request that is being received, or before the first one.
    pub read: Duration,
    /// A peer that takes no byte of its answer.
    pub write: Duration,
    /// A kept connection without a request.
    pub keep: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            keep: Duration::from_secs(300),
        }
    }
}
