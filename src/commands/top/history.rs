//! What has changed from one look to the next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::observe::snapshot::{AppSnapshot, Bucket, Snapshot, Totals, WorkerSnapshot};

/// How many looks are kept: over so many the latencies are reckoned.
const LOOKS: usize = 10;

/// The last looks, the newest last.
#[derive(Debug, Default)]
pub(super) struct History {
    looks: VecDeque<(Instant, Snapshot)>,
}

/// What an app does in a second, and how long its requests take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pace {
    /// Requests that end in a second.
    pub(super) requests: f64,
    /// Those of them that failed.
    pub(super) errors: f64,
    /// Milliseconds that half, 95 % and 99 % of them take at most; none without
    /// requests.
    pub(super) percentiles: Option<[f64; 3]>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WorkerPace {
    /// CPU time, in per cent of one core.
    pub(super) cpu: Option<f64>,
    /// Requests that end in a second.
    pub(super) requests: f64,
}

impl History {
    /// Another look.
    pub(super) fn push(&mut self, at: Instant, snapshot: Snapshot) {
        // A gateway that has been started anew counts from zero.
        if self.newest().is_some_and(|before| counts(before) > counts(&snapshot)) {
            self.looks.clear();
        }
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((at, snapshot));
    }

    /// What was seen last.
    pub(super) fn newest(&self) -> Option<&Snapshot> {
        self.looks.back().map(|(_, snapshot)| snapshot)
    }

    /// When that was.
    pub(super) fn seen(&self) -> Option<Instant> {
        self.looks.back().map(|(at, _)| *at)
    }

    /// The pace of an app; none after the first look.
    pub(super) fn pace(&self, app: &AppSnapshot) -> Option<Pace> {
        let now = &app.totals;
        let of = |snapshot: &Snapshot| totals(snapshot, app.app.as_deref()).cloned();
        let (since, before) = self.before()?;
        let before = of(before)?;
        let (_, first) = self.looks.front()?;
        let first = of(first)?;
        Some(Pace {
            requests: per_second(before.requests, now.requests, since),
            errors: per_second(before.errors, now.errors, since),
            percentiles: percentiles(&first.durations, &now.durations),
        })
    }

    /// The pace of a worker; none after the first look at it.
    pub(super) fn worker(&self, worker: &WorkerSnapshot) -> Option<WorkerPace> {
        let (since, before) = self.before()?;
        let mut workers = before.apps.iter().flat_map(|app| &app.workers);
        let before = workers.find(|one| one.worker == worker.worker && one.pid == worker.pid)?;
        let cpu = before.cpu_ms.zip(worker.cpu_ms);
        Some(WorkerPace {
            cpu: cpu.map(|(before, now)| per_second(before, now, since) / 10.0),
            requests: per_second(before.served, worker.served, since),
        })
    }

    /// The look before the newest, and how long they are apart.
    fn before(&self) -> Option<(Duration, &Snapshot)> {
        let at = self.looks.len().checked_sub(2)?;
        let (before, snapshot) = self.looks.get(at)?;
        Some((self.seen()?.duration_since(*before), snapshot))
    }
}

fn counts(snapshot: &Snapshot) -> u64 {
    snapshot.apps.iter().map(|app| app.totals.requests).max().unwrap_or(0)
}

fn totals<'s>(snapshot: &'s Snapshot, name: Option<&str>) -> Option<&'s Totals> {
    snapshot.apps.iter().find(|app| app.app.as_deref() == name).map(|app| &app.totals)
}

#[expect(clippy::cast_precision_loss, reason = "few digits are shown")]
fn per_second(before: u64, now: u64, since: Duration) -> f64 {
    now.saturating_sub(before) as f64 / since.as_secs_f64().max(1e-3)
}

/// What half, 95 % and 99 % of the requests have taken at most that have ended
/// between two looks. Within a bucket they are taken to be spread evenly.
#[expect(clippy::cast_precision_loss, reason = "few digits are shown")]
fn percentiles(before: &[Bucket], now: &[Bucket]) -> Option<[f64; 3]> {
    let earlier = |at: usize| before.get(at).map_or(0, |bucket| bucket.count);
    let counts = now.iter().enumerate().map(|(at, b)| (b, b.count.saturating_sub(earlier(at))));
    let counts: Vec<_> = counts.collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let of = |share: f64| {
        let wanted = all as f64 * share;
        let (mut below, mut from) = (0.0, 0.0);
        for (bucket, count) in &counts {
            let (count, to) = (*count as f64, bucket.up_to_ms.map_or(from, |ms| ms as f64));
            if count > 0.0 && below + count >= wanted {
                return from + (to - from) * (wanted - below) / count;
            }
            (below, from) = (below + count, to);
        }
        from
    };
    (all > 0).then(|| [of(0.5), of(0.95), of(0.99)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(requests: u64, slow: u64) -> Snapshot {
        let buckets = [(Some(10), requests - slow), (Some(100), slow), (None, 0)];
        let durations = buckets.map(|(up_to_ms, count)| Bucket { up_to_ms, count }).to_vec();
        let totals = Totals { requests, errors: slow, refused: 0, durations };
        let worker = WorkerSnapshot {
            worker: 1,
            pid: 7,
            age_ms: 0,
            state: crate::observe::snapshot::WorkerState::Ready,
            threads: 1,
            busy: 0,
            served: requests,
            memory: None,
            cpu_ms: Some(requests),
        };
        let app =
            AppSnapshot { generation: 1, workers: vec![worker], totals, ..AppSnapshot::default() };
        Snapshot { apps: vec![app], ..Snapshot::default() }
    }

    #[test]
    fn rates_are_those_since_the_last_look() {
        let (mut history, start) = (History::default(), Instant::now());
        history.push(start, look(100, 0));
        assert_eq!(history.pace(&look(100, 0).apps[0]), None);
        history.push(start + Duration::from_secs(2), look(300, 20));
        let app = &history.newest().unwrap().apps[0];
        let pace = history.pace(app).unwrap();
        assert_eq!((pace.requests, pace.errors), (100.0, 10.0));
        let [half, most, nearly_all] = pace.percentiles.unwrap();
        // 180 took up to 10 ms, 20 up to 100 ms.
        assert!((half - 10.0 * 100.0 / 180.0).abs() < 1e-9);
        assert!((most - 55.0).abs() < 1e-9 && (nearly_all - 91.0).abs() < 1e-9);
        let worker = history.worker(&app.workers[0]).unwrap();
        assert_eq!(worker, WorkerPace { cpu: Some(10.0), requests: 100.0 });
    }

    #[test]
    fn a_new_gateway_begins_anew() {
        let (mut history, start) = (History::default(), Instant::now());
        history.push(start, look(100, 0));
        history.push(start + Duration::from_secs(1), look(3, 0));
        assert_eq!(history.pace(&look(3, 0).apps[0]), None);
        for second in 2..30 {
            history.push(start + Duration::from_secs(second), look(3, 0));
        }
        assert_eq!(history.looks.len(), LOOKS);
        let pace = history.pace(&look(3, 0).apps[0]).unwrap();
        assert_eq!((pace.requests, pace.percentiles), (0.0, None));
    }
}
