//! How long to wait before a process is started again.

use std::time::Duration;

/// A process that lived longer than this after it was ready was a good one.
const YOUNG: Duration = Duration::from_secs(10);
/// The first real wait; it doubles from there.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts deaths in a row that came too early: 0, 0.1, 0.2, 0.4 … 10 seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    young: u32,
}

impl Backoff {
    /// The wait after a death; `lived` is the time since it was ready, `None`
    /// if it never was.
    pub(super) fn after_death(&mut self, lived: Option<Duration>) -> Duration {
        if lived.is_some_and(|lived| lived > YOUNG) {
            self.young = 0;
            return Duration::ZERO;
        }
        self.young += 1;
        match self.young.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => (FIRST * (1 << doublings.min(16))).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_deaths_wait_longer_each_time_and_a_long_life_forgives() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.after_death(None).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000]);
        assert_eq!(backoff.after_death(Some(Duration::from_secs(1))).as_millis(), 10000);
        assert_eq!(backoff.after_death(Some(Duration::from_secs(11))).as_millis(), 0);
        assert_eq!(backoff.after_death(None).as_millis(), 0);
        assert_eq!(backoff.after_death(None).as_millis(), 100);
    }

    #[test]
    fn many_deaths_do_not_overflow() {
        let mut backoff = Backoff { young: u32::MAX - 1 };
        assert_eq!(backoff.after_death(None), LONGEST);
    }
}
