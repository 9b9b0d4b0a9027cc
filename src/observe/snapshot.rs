//! What flupd does at this moment, as its gateway sees it.

use cgi::Params;
use serde::{Deserialize, Serialize};

use super::access::request_id;
use super::trace_context::TraceParent;

/// The most requests of each kind that are told of one by one, the oldest first:
/// those that app threads have, those that wait, and those that arrive.
pub const MAX_REQUESTS: usize = 100;

/// The most text of all frames, in bytes.
pub const MAX_FRAMES: usize = 48 * 1024;

/// The most of one request's URL, in bytes.
pub const MAX_URL: usize = 300;

/// The most of its method, and of its id.
pub const MAX_WORD: usize = 64;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Connections of web servers.
    pub connections: usize,
    /// Requests that still arrive.
    pub reading: usize,
    /// The apps.
    pub apps: Vec<AppSnapshot>,
    /// All requests: those that app threads have, those that wait, those that
    /// arrive; of each kind the oldest first.
    pub requests: Vec<RequestSnapshot>,
    /// How many more there are that are not told of.
    pub more: usize,
}

/// One generation of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSnapshot {
    /// Its name, where there can be several.
    pub app: Option<String>,
    /// Which generation it is; it grows with each reload.
    pub generation: u64,
    /// Requests that wait for an app thread.
    pub waiting: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub waiting_ms: u64,
    /// Whether a younger generation has taken over.
    pub draining: bool,
    /// How many workers it has at least; 0 if they are started on demand.
    pub workers_min: usize,
    /// How many at most.
    pub workers_max: usize,
    /// Whether there is none because none is needed.
    pub asleep: bool,
    /// Its workers.
    pub workers: Vec<WorkerSnapshot>,
    /// What its requests have come to, in all generations together.
    pub totals: Totals,
}

/// What the requests of an app have come to since the gateway has begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Those that have ended.
    pub requests: u64,
    /// Those of them that were answered with 5xx, or cut.
    pub errors: u64,
    /// Those that flupd answered by itself.
    pub refused: u64,
    /// How long they took, from the whole request to the end of its answer.
    pub durations: Vec<Bucket>,
}

/// Requests that took about as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The most that they took, in milliseconds; none: any time.
    pub up_to_ms: Option<u64>,
    /// How many took this, and no less than the bucket before says.
    pub count: u64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// Its number.
    pub worker: u64,
    /// Its process id.
    pub pid: u32,
    /// What it does.
    pub state: WorkerState,
    /// App threads.
    pub threads: usize,
    /// Those with a request.
    pub busy: usize,
    /// Requests that it has answered.
    pub served: u64,
    /// Since it was started, in milliseconds.
    pub age_ms: u64,
    /// Its resident memory in bytes, if that can be read.
    pub memory: Option<u64>,
    /// CPU time of its process so far, in milliseconds, if that can be read.
    pub cpu_ms: Option<u64>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It imports the app.
    Starting,
    /// It takes requests.
    Ready,
    /// It finishes what it has begun, and gets no more.
    Leaving,
    /// A request in it does not end: it is about to be replaced.
    Stuck,
}

impl WorkerState {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Stuck => "stuck",
        }
    }
}

/// One request. What is not known, or not so in its phase, is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestSnapshot {
    /// Its app's name, where there can be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The number of the worker that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<u64>,
    /// The worker's process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The app thread, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<usize>,
    /// `GET`; empty while that has not arrived.
    pub method: String,
    /// `/path?query`.
    pub url: String,
    /// What the web server calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The trace that it belongs to, where a `traceparent` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How far it is: `reading`, `queued`, or as docs/timeouts.md says.
    pub phase: String,
    /// Since an app thread has it; of one that waits, since it does; of one that
    /// arrives, since its first byte. In milliseconds.
    pub age_ms: u64,
    /// How long it had waited for the app thread, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// What it has cost so far: CPU time of its app thread, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// How much of its body has arrived, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Where the app is, the innermost frame last. Left out if that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Vec<String>>,
}

impl RequestSnapshot {
    /// What its params say of it, cut to what is told.
    #[must_use]
    pub fn of(params: &Params) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let cut = |bytes: &[u8], most| text(bytes.get(..most).unwrap_or(bytes));
        Self {
            method: cut(params.get(b"REQUEST_METHOD").unwrap_or_default(), MAX_WORD),
            url: cut(request_uri(params), MAX_URL),
            id: request_id(params).map(|id| cut(id, MAX_WORD)),
            trace_id: TraceParent::of(params).map(|parent| parent.trace.to_string()),
            ..Self::default()
        }
    }

    /// `GET /path?query`, or what stands for it.
    #[must_use]
    pub fn line(&self) -> String {
        match (self.method.as_str(), self.url.as_str()) {
            ("", "") => "(its params are arriving)".to_owned(),
            ("", url) => url.to_owned(),
            (method, url) => format!("{method} {url}"),
        }
    }
}

/// `REQUEST_URI` as it came, or `PATH_INFO`.
#[must_use]
pub fn request_uri(params: &Params) -> &[u8] {
    let uri = params.get(b"REQUEST_URI").or_else(|| params.get(b"PATH_INFO"));
    uri.unwrap_or_default()
}

impl Snapshot {
    /// Leaves the last requests out until its JSON is no longer than this, in
    /// bytes: a snapshot travels in one message. Their number is told.
    #[must_use]
    pub fn within(mut self, most: usize) -> Self {
        let mut length = json_length(&self);
        while length > most
            && let Some(last) = self.requests.pop()
        {
            self.more += 1;
            // With the comma before it.
            length = length.saturating_sub(json_length(&last) + 1);
        }
        self
    }
}

fn json_length(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let request = |url: &str| RequestSnapshot { url: url.to_owned(), ..Default::default() };
        let long = "\u{1}".repeat(MAX_URL);
        let requests = (0..200).map(|_| request(&long)).collect();
        let snapshot = Snapshot { requests, ..Snapshot::default() };
        let cut = snapshot.clone().within(96 * 1024);
        assert!(cut.more > 100 && cut.requests.len() + cut.more == 200, "{}", cut.more);
        let length = json_length(&cut);
        assert!(length <= 96 * 1024 && length > 94 * 1024, "{length}");
        assert_eq!(snapshot.clone().within(1 << 20), snapshot);
    }

    #[test]
    fn a_request_is_called_by_what_is_known_of_it() {
        let request = |method: &str, url: &str| {
            RequestSnapshot { method: method.into(), url: url.into(), ..Default::default() }.line()
        };
        assert_eq!(request("GET", "/a?b"), "GET /a?b");
        assert_eq!(request("", "/a"), "/a");
        assert_eq!(request("", ""), "(its params are arriving)");
    }
}
