//! What flupd does at this moment, as its gateway sees it.

use serde::{Deserialize, Serialize};

/// The most requests that are told of one by one, the oldest first.
pub const MAX_REQUESTS: usize = 50;

/// The most text of all frames, in bytes: a snapshot travels in one message.
pub const MAX_FRAMES: usize = 48 * 1024;

/// The most of one request's line, in bytes.
pub const MAX_LINE: usize = 300;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Connections of web servers.
    pub connections: usize,
    /// The apps.
    pub apps: Vec<AppSnapshot>,
    /// What runs, the oldest first.
    pub requests: Vec<RunningRequest>,
    /// How many more run that are not told of.
    pub more: usize,
}

/// One generation of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSnapshot {
    /// Its name, where there can be several.
    pub app: Option<String>,
    /// Which generation it is; it grows with each reload.
    pub generation: u64,
    /// Requests that wait for an app thread.
    pub waiting: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub waiting_ms: u64,
    /// Its workers.
    pub workers: Vec<WorkerSnapshot>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// Its number.
    pub worker: u64,
    /// Its process id.
    pub pid: u32,
    /// Whether it has imported the app.
    pub ready: bool,
    /// App threads.
    pub threads: usize,
    /// Those with a request.
    pub busy: usize,
}

/// One request that an app thread has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRequest {
    /// Its app's name, where there can be several.
    pub app: Option<String>,
    /// The worker's number.
    pub worker: u64,
    /// The worker's process id.
    pub pid: u32,
    /// The app thread, counted from 1.
    pub thread: usize,
    /// `GET /path`.
    pub request: String,
    /// Since an app thread has it, in milliseconds.
    pub age_ms: u64,
    /// How far it is.
    pub phase: String,
    /// Where the app is, the innermost frame last. `None` if that was not asked.
    pub frames: Option<Vec<String>>,
}
