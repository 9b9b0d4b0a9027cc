//! The last worker processes that have ended.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How many are kept.
const MOST: usize = 20;

/// The most text of one's requests, in bytes.
const MAX_TEXT: usize = 600;

/// A worker process that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEnd {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its app's name, where there can be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The generation of the app.
    pub generation: u64,
    /// Its number.
    pub worker: u64,
    /// Its process id.
    pub pid: u32,
    /// How it ended: `killed by signal 11 (SIGSEGV)`.
    pub cause: String,
    /// Whether it was told to go.
    pub expected: bool,
    /// The requests that ended with it, and what became of them.
    pub requests: String,
}

/// The last ones of an app.
#[derive(Debug, Default)]
pub struct Ends(Mutex<VecDeque<WorkerEnd>>);

impl Ends {
    /// One more, which pushes out the oldest.
    pub fn add(&self, mut end: WorkerEnd) {
        for text in [&mut end.cause, &mut end.requests] {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.truncate(MOST - 1);
        ends.push_front(end);
    }

    /// The last first.
    #[must_use]
    pub fn last(&self) -> Vec<WorkerEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_no_text_is_long() {
        let ends = Ends::default();
        for worker in 0..50 {
            ends.add(WorkerEnd {
                at_ms: unix_ms(SystemTime::now()),
                app: None,
                generation: 1,
                worker,
                pid: 1,
                cause: "exit status 1".into(),
                expected: false,
                requests: "\u{e9}".repeat(5000),
            });
        }
        let last = ends.last();
        assert_eq!((last.len(), last[0].worker, last[19].worker), (20, 49, 30));
        assert_eq!((last[0].requests.len(), last[0].cause.as_str()), (600, "exit status 1"));
    }
}
