//! What is counted of one app, in all its generations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Cell, Histogram};

/// How a request has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was answered with this status, as far as the first digit says: 0 if
    /// that is none.
    Answered(u8),
    /// The answer had begun, and could not be finished.
    Cut,
    /// The client had gone before.
    Cancelled,
}

impl Ending {
    /// All that are counted apart, as they are called.
    pub(super) const LABELS: [&'static str; 8] =
        ["other", "1xx", "2xx", "3xx", "4xx", "5xx", "cut", "cancelled"];

    const fn index(self) -> usize {
        match self {
            Self::Answered(class @ 1..=5) => class as usize,
            Self::Answered(_) => 0,
            Self::Cut => 6,
            Self::Cancelled => 7,
        }
    }
}

/// How many there are right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stand {
    /// Requests that wait for a thread.
    pub queued: u64,
    /// App threads with a request.
    pub busy: u64,
    /// App threads that take requests.
    pub threads: u64,
    /// Workers that import the app.
    pub starting: u64,
    /// Workers that take requests.
    pub ready: u64,
    /// Workers that finish what they have begun.
    pub leaving: u64,
}

/// What is counted of one app.
#[derive(Debug)]
pub struct AppMetrics {
    /// What the log calls it.
    pub name: String,
    requests: [Cell; Ending::LABELS.len()],
    /// From the whole request to the end of its answer.
    pub duration: Histogram,
    /// From the whole request to its turn at an app thread.
    pub wait: Histogram,
    /// The time that app threads had requests, in nanoseconds.
    pub busy_nanos: Cell,
    /// Answers that flupd gave by itself.
    pub refused: Cell,
    /// Requests that were given to a second worker.
    pub repeated: Cell,
    /// See [`Stand`].
    pub queued: Cell,
    /// See [`Stand`].
    pub busy: Cell,
    /// See [`Stand`].
    pub threads: Cell,
    /// See [`Stand`].
    pub starting: Cell,
    /// See [`Stand`].
    pub ready: Cell,
    /// See [`Stand`].
    pub leaving: Cell,
    /// How often workers have ended as `exit status 3`, `SIGSEGV`, `told`.
    ends: Mutex<BTreeMap<String, u64>>,
    pids: Mutex<BTreeMap<u64, u32>>,
    watched: AtomicBool,
    retired: AtomicBool,
}

impl AppMetrics {
    /// All zero.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            requests: Default::default(),
            duration: Histogram::default(),
            wait: Histogram::default(),
            busy_nanos: Cell::default(),
            refused: Cell::default(),
            repeated: Cell::default(),
            queued: Cell::default(),
            busy: Cell::default(),
            threads: Cell::default(),
            starting: Cell::default(),
            ready: Cell::default(),
            leaving: Cell::default(),
            ends: Mutex::default(),
            pids: Mutex::default(),
            watched: AtomicBool::new(false),
            retired: AtomicBool::new(true),
        }
    }

    /// A request has ended. It took so long, and had waited so long for its turn
    /// at a thread, if it ever came.
    pub fn ended(&self, ending: Ending, took: Duration, waited: Option<Duration>) {
        if let Some(count) = self.requests.get(ending.index()) {
            count.add(1);
        }
        self.duration.observe(took);
        if let Some(waited) = waited {
            self.wait.observe(waited);
            let busy = took.saturating_sub(waited).as_nanos();
            self.busy_nanos.add(u64::try_from(busy).unwrap_or(u64::MAX));
        }
    }

    /// How many requests have ended in each way.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ending::LABELS.into_iter().zip(self.requests.iter().map(Cell::get))
    }

    /// What one generation has now in the place of what it had `before`.
    pub fn stands(&self, before: Stand, now: Stand) {
        let put = |cell: &Cell, before: u64, now: u64| {
            cell.set(cell.get().wrapping_add(now).wrapping_sub(before));
        };
        put(&self.queued, before.queued, now.queued);
        put(&self.busy, before.busy, now.busy);
        put(&self.threads, before.threads, now.threads);
        put(&self.starting, before.starting, now.starting);
        put(&self.ready, before.ready, now.ready);
        put(&self.leaving, before.leaving, now.leaving);
    }

    /// A worker runs as this process.
    pub fn worker_started(&self, worker: u64, pid: u32) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, pid);
    }

    /// It has ended; how is told in the supervisor's words, and whether it was told to.
    pub fn worker_ended(&self, worker: u64, cause: &str, expected: bool) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(shortened(cause, expected)).or_default() += 1;
    }

    /// How often workers have ended, and how.
    pub(super) fn ends(&self) -> BTreeMap<String, u64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The processes that are its workers.
    pub(super) fn pids(&self) -> BTreeMap<u64, u32> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether [`Stand`]s are of any use.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Relaxed);
    }

    /// It is configured, or not any more.
    pub fn set_retired(&self, retired: bool) {
        self.retired.store(retired, Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }
}

/// Few words for what can be said in many: each makes a line of its own.
fn shortened(cause: &str, expected: bool) -> String {
    if expected {
        return "told".to_owned();
    }
    if cause.starts_with("killed by signal ") {
        let name = cause.split_once('(').map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split([',', ')']).next());
        return name.unwrap_or("signal").to_owned();
    }
    if cause.starts_with("exit status ") { cause.to_owned() } else { "other".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_few() {
        for (cause, expected, word) in [
            ("exit status 0", true, "told"),
            ("exit status 0", false, "exit status 0"),
            ("killed by signal 11 (SIGSEGV, segmentation fault), core dumped", false, "SIGSEGV"),
            ("killed by signal 9 (SIGKILL)", false, "SIGKILL"),
            ("killed by signal 40", false, "signal"),
            ("it can't be started: no such file", false, "other"),
        ] {
            assert_eq!(shortened(cause, expected), word);
        }
    }

    #[test]
    fn generations_add_up() {
        let app = AppMetrics::new("shop");
        let two = Stand { ready: 2, busy: 1, ..Stand::default() };
        app.stands(Stand::default(), two);
        app.stands(Stand::default(), Stand { ready: 3, ..Stand::default() });
        assert_eq!((app.ready.get(), app.busy.get()), (5, 1));
        app.stands(two, Stand::default());
        assert_eq!((app.ready.get(), app.busy.get()), (3, 0));
    }
}
