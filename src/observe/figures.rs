//! How one generation of an app does, so that two can be compared.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many classes of times double: each is 19 % longer than the one before.
const PER_DOUBLING: f64 = 4.0;

/// The last class: longer than an hour.
const LAST: u8 = 128;

/// The requests of one generation that have come since some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were answered with a status below 500.
    pub answered: u64,
    /// Those that got a 5xx or a cut answer, whoever gave it.
    pub failed: u64,
    /// How long they took, or have taken so far.
    pub times: Times,
}

/// How often it took how long: pairs of a class and how many are in it, the
/// shortest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times(Vec<(u8, u64)>);

impl Figures {
    /// All that have an outcome.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.answered.saturating_add(self.failed)
    }
}

impl Times {
    /// One more.
    pub fn observe(&mut self, took: Duration) {
        let class = class(took);
        match self.0.binary_search_by_key(&class, |(class, _)| *class) {
            Ok(at) => self.0.iter_mut().skip(at).take(1).for_each(|(_, count)| *count += 1),
            Err(at) => self.0.insert(at, (class, 1)),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The time within which this part of them was done; 0 if there are none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count() as f64 * part).ceil().max(1.0);
        let mut sum = 0.0;
        let reached = self.0.iter().find(|(_, count)| {
            sum += *count as f64;
            sum >= wanted
        });
        reached.map_or(Duration::ZERO, |(class, _)| end(*class))
    }

    /// How many took longer.
    #[must_use]
    pub fn over(&self, limit: Duration) -> u64 {
        self.0.iter().filter(|(class, _)| start(*class) >= limit).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.ended();
        let percent = self.failed as f64 * 100.0 / ended.max(1) as f64;
        let ms = |part| self.times.quantile(part).as_secs_f64() * 1000.0;
        write!(f, "{ended} requests, {} failed ({percent:.1} %)", self.failed)?;
        if self.times.count() > 0 {
            write!(f, ", median {:.1} ms, 95 % within {:.1} ms", ms(0.5), ms(0.95))?;
        }
        Ok(())
    }
}

/// The class of a time.
fn class(took: Duration) -> u8 {
    let micros = took.as_secs_f64() * 1e6;
    // What is no number or too large becomes a bound.
    ((micros.max(1.0).log2() * PER_DOUBLING) as u8).min(LAST)
}

/// The shortest time of a class.
fn start(class: u8) -> Duration {
    Duration::from_secs_f64((f64::from(class) / PER_DOUBLING).exp2() / 1e6)
}

/// The shortest time of the next one.
fn end(class: u8) -> Duration {
    start(class.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn times_are_known_within_a_class() {
        let mut times = Times::default();
        assert_eq!((times.count(), times.quantile(0.5)), (0, Duration::ZERO));
        (1..=100).for_each(|ms| times.observe(MS * ms));
        assert_eq!(times.count(), 100);
        for (part, ms) in [(0.5, 50.0), (0.95, 95.0), (1.0, 100.0)] {
            let told = times.quantile(part).as_secs_f64() * 1000.0;
            assert!((ms..ms * 1.42).contains(&told), "{part}: {told}");
        }
        assert_eq!(times.over(Duration::ZERO), 100);
        assert!((35..=50).contains(&times.over(MS * 50)), "{}", times.over(MS * 50));
        assert_eq!(times.over(MS * 101), 0);
    }

    #[test]
    fn no_time_is_too_short_or_too_long() {
        let mut times = Times::default();
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            times.observe(took);
        }
        assert_eq!(times.count(), 3);
        assert_eq!(times.over(Duration::from_secs(3600)), 1);
    }
}
