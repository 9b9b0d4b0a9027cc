//! One app: what runs it, how much of it there is, and which requests are its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Canary, GatewayApp, Privileges, ProbeRequest, Workers};
use crate::jitter::jitter;

/// The number of an app, for as long as flupd runs and the app is configured.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct AppId(pub usize);

/// One generation of one app: what was started from the same configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId {
    /// The app.
    pub app: AppId,
    /// Counts from 1; each reload makes the next one.
    pub generation: u64,
}

impl GroupId {
    /// The first generation of an app.
    #[must_use]
    pub const fn first(app: AppId) -> Self {
        Self { app, generation: 1 }
    }
}

/// One app.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// What it is called in the log; none if it is the only one there can be.
    pub name: Option<String>,
    /// The app as the user named it: `module:callable`.
    pub app: String,
    /// If the app is a script that is the program: its `sys.argv`.
    pub script: Option<Vec<String>>,
    /// The interpreter or virtualenv that was asked for: absolute, or the name of
    /// a command.
    pub python: Option<PathBuf>,
    /// The directory to enter before the import, absolute.
    pub chdir: Option<PathBuf>,
    /// Directories to put in front of `sys.path`, absolute.
    pub path: Vec<PathBuf>,
    /// Its environment variables.
    pub environment: Environment,
    /// What its processes are started with.
    pub privileges: Privileges,
    /// How many worker processes.
    pub workers: Workers,
    /// How many app threads in each.
    pub threads: usize,
    /// Whether the app is imported once, and workers are forked from there.
    pub preload: bool,
    /// Whether each worker serves connections itself, on its one thread.
    pub solo: bool,
    /// The host names whose requests are its own, in lower case: exact, or with
    /// `*.` in front for all below. Empty: every host.
    pub hosts: Vec<String>,
    /// The paths below which requests are its own: as a SCRIPT_NAME, without a
    /// slash at the end. Empty: every path.
    pub prefixes: Vec<String>,
    /// The mount point to report; none: the prefix, or without one what the web
    /// server's params tell.
    pub script_name: Option<String>,
    /// Bounds on its requests.
    pub limits: AppLimits,
    /// How long running requests may take when its workers leave.
    pub graceful_timeout: Duration,
    /// What a new worker must answer before it gets requests.
    pub probe: Option<ProbeRequest>,
    /// How new code begins at a reload.
    pub canary: Option<Canary>,
    /// The age at which a worker is replaced.
    pub max_age: Option<Duration>,
    /// The resident memory at which a worker is replaced, in bytes.
    pub max_memory: Option<u64>,
    /// The keys of note that were not given, for the start log.
    pub defaults: Vec<&'static str>,
}

/// The environment variables of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Which ones of flupd's own it has; none: all.
    pub inherit: Option<Vec<String>>,
    /// Those that are set besides, or instead.
    pub set: BTreeMap<String, String>,
}

impl AppConfig {
    /// The gateway's part, once this generation of it takes the requests.
    #[must_use]
    pub fn gateway(&self, generation: u64) -> GatewayApp {
        GatewayApp {
            generation,
            name: self.name.clone(),
            hosts: self.hosts.clone(),
            prefixes: self.prefixes.clone(),
            script_name: self.script_name.clone(),
            python: None,
            workers: self.workers,
            concurrency: self.workers.max * self.threads,
            limits: self.limits,
        }
    }
}

/// Bounds on the requests of an app. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLimits {
    /// The params of one request; more are answered 431.
    pub params: usize,
    /// A request body; a longer one is answered 413.
    pub body: u64,
    /// Requests that wait for an app thread; one more is answered 503.
    pub queue: usize,
    /// How long they may take.
    pub time: TimeLimits,
    /// How many of them one worker runs before it is replaced.
    pub per_worker: Option<PerWorker>,
}

/// After how many requests a worker is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerWorker {
    /// So many at least.
    pub requests: u64,
    /// So many more at most: each worker has its own number.
    pub jitter: u64,
}

impl PerWorker {
    /// How many it is for this worker.
    #[must_use]
    pub fn of(self, worker: u64) -> u64 {
        self.requests.saturating_add(jitter(worker, self.jitter))
    }
}

/// How long a request of an app may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimits {
    /// Its wait for an app thread; after that it is answered 503.
    pub queue: Option<Duration>,
    /// The app's work, after which it is logged.
    pub slow: Option<Duration>,
    /// The app's work, after which `flupd.RequestTimeout` is raised there.
    pub request: Option<Duration>,
    /// What the app may do after that; then the client gets a 504, and the worker
    /// is replaced.
    pub grace: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { queue: None, slow: None, request: None, grace: Duration::from_secs(5) }
    }
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            params: 1 << 20,
            body: 1 << 30,
            queue: 1024,
            time: TimeLimits::default(),
            per_worker: None,
        }
    }
}
