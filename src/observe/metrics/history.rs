//! What was counted in the last minutes: a chart has something to show when
//! somebody opens it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::histogram::BOUNDS;
use super::{AppMetrics, Metrics};
use crate::observe::ends::unix_ms;

/// How often a sample is to be taken.
pub const EVERY: Duration = Duration::from_secs(1);

/// How many are kept: those of five minutes, and of the seconds before, with which
/// the first of them are compared.
const SAMPLES: usize = 315;

/// Samples, the oldest first. Whoever tells them takes them.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Sample>>);

/// What was counted up to a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    t: u64,
    apps: Vec<AppSample>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AppSample {
    app: String,
    /// The youngest that has workers which take requests.
    generation: u64,
    requests: u64,
    errors: u64,
    /// How many took as long as each of [`Told::bounds_ms`] says, and no less.
    durations: Vec<u64>,
    waiting: u64,
    busy: u64,
    threads: u64,
    /// Resident, of all workers, in bytes.
    memory: u64,
}

/// What is told of it.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The upper ends of the buckets of durations; one more has the rest.
    bounds_ms: [u64; BOUNDS.len()],
    samples: Vec<Sample>,
}

impl History {
    /// One more.
    pub fn add(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Those after this moment, in milliseconds since 1970. All, if that lies in
    /// the future: then somebody has set the clock.
    #[must_use]
    pub fn since(&self, t: u64) -> Told {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = samples.back().is_some_and(|last| t <= last.t);
        let later = samples.iter().filter(|sample| sample.t > t || !known);
        Told { bounds_ms: BOUNDS, samples: later.cloned().collect() }
    }
}

impl Metrics {
    /// What is counted now. Some microseconds for each worker.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let apps = self.apps();
        let apps = apps.iter().map(|app| app.sample()).collect();
        Sample { t: unix_ms(SystemTime::now()), apps }
    }
}

impl AppMetrics {
    fn sample(&self) -> AppSample {
        let (totals, stand) = (self.totals(), self.stand());
        let serves = self.stands().into_iter().rev().find(|(_, stand)| stand.ready > 0);
        AppSample {
            app: self.name.clone(),
            generation: serves.map_or(0, |(generation, _)| generation),
            requests: totals.requests,
            errors: totals.errors,
            durations: totals.durations.iter().map(|bucket| bucket.count).collect(),
            waiting: stand.queued,
            busy: stand.busy,
            threads: stand.threads,
            memory: self.resident(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_hears_a_sample_twice_and_old_ones_go() {
        let history = History::default();
        assert_eq!(history.since(0).samples.len(), 0);
        for t in 1..=400 {
            history.add(Sample { t, ..Metrics::default().sample() });
        }
        let times =
            |since| -> Vec<_> { history.since(since).samples.iter().map(|s| s.t).collect() };
        assert_eq!((times(0).len(), times(0)[0]), (SAMPLES, 86));
        assert_eq!(times(398), [399, 400]);
        assert!(times(400).is_empty());
        assert_eq!(times(401).len(), SAMPLES);
    }

    #[test]
    fn a_sample_has_what_was_counted() {
        let metrics = Metrics::default();
        let app = metrics.app(crate::config::AppId(0), Some("shop"));
        let ready = super::super::Stand { ready: 1, busy: 2, threads: 4, ..Default::default() };
        app.generation(3).stands(ready);
        app.ended(super::super::Ending::Answered(5), Duration::from_millis(7), None);
        let sample = serde_json::to_value(metrics.sample()).unwrap();
        let told = &sample["apps"][0];
        for (key, value) in [
            ("generation", 3),
            ("requests", 1),
            ("errors", 1),
            ("busy", 2),
            ("threads", 4),
            ("memory", 0),
        ] {
            assert_eq!(told[key], value, "{key}");
        }
        // Between 5 and 10 ms.
        assert_eq!((&told["app"], &told["durations"][3]), (&"shop".into(), &1.into()));
    }
}
