//! All latencies of a run, and what they come to.

use std::time::Duration;

use serde::Serialize;

/// The figures of a run. Latencies are in milliseconds.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Requests that were answered in time.
    pub requests: usize,
    /// The same, a second.
    pub rate: f64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
    /// Requests without an answer when patience ended. Their waiting counts as their latency.
    pub unanswered: usize,
}

/// Every latency of a run.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// The figures, given the requests that were answered within `time`.
    pub fn outcome(mut self, requests: usize, time: Duration, unanswered: usize) -> Outcome {
        self.0.sort_unstable();
        Outcome {
            requests,
            rate: requests as f64 / time.as_secs_f64(),
            p50: self.quantile(0.5),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.quantile(1.0),
            unanswered,
        }
    }

    /// The latency that so large a share does not exceed.
    fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.max(1) - 1).map(|latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        (1..=200).rev().for_each(|number| latencies.add(Duration::from_millis(number)));
        let outcome = latencies.outcome(200, Duration::from_secs(2), 0);
        let found = (outcome.p50, outcome.p99, outcome.p999, outcome.max);
        assert_eq!(found, (Some(100.0), Some(198.0), Some(200.0), Some(200.0)));
        assert_eq!(outcome.rate, 100.0);
        assert_eq!(Latencies::default().outcome(0, Duration::from_secs(1), 0).p99, None);
    }
}
