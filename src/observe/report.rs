//! What the status listener tells as JSON.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::ends::{WorkerEnd, unix_ms};
use super::metrics::Metrics;
use super::metrics::history::Told;
use super::snapshot::Snapshot;

/// A [`Snapshot`] and what stands around it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of flupd.
    pub version: &'static str,
    /// When the gateway process began, in milliseconds since 1970: totals count
    /// from there.
    pub started_ms: u64,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// Whether flupd takes no more connections.
    pub stopping: bool,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Requests refused before they reached an app.
    pub rejected: u64,
    /// How long the gateway's thread took to answer, in microseconds. `None` if it
    /// had no time: then there is no snapshot.
    pub answered_us: Option<u64>,
    /// What runs.
    #[serde(flatten)]
    pub snapshot: Option<Snapshot>,
    /// The last workers that have ended, of each app the last first.
    pub ends: Vec<WorkerEnd>,
    /// What was counted before, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Told>,
}

impl Report {
    /// What is known now. The gateway's thread took `asked` to tell the snapshot.
    #[must_use]
    pub fn new(
        metrics: &Metrics,
        (snapshot, asked): (Option<Snapshot>, Duration),
        history: Option<Told>,
    ) -> Self {
        let micros = u64::try_from(asked.as_micros()).unwrap_or(u64::MAX);
        let mut ends: Vec<_> = metrics.apps().iter().flat_map(|app| app.recent.last()).collect();
        ends.sort_by_key(|end| std::cmp::Reverse(end.at_ms));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_ms: unix_ms(metrics.began),
            now_ms: unix_ms(SystemTime::now()),
            stopping: metrics.is_stopping(),
            accepted: metrics.accepted.get(),
            rejected: metrics.rejected.sum(),
            answered_us: snapshot.is_some().then_some(micros),
            snapshot,
            ends,
            history,
        }
    }
}
