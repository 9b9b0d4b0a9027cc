//! How many worker processes an app has.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many worker processes an app has: always the same number, or one that
/// follows its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// So many at least. 0: they are started on demand, and all leave when nobody
    /// asks.
    pub min: usize,
    /// So many at most, and at least one.
    pub max: usize,
    /// So many more than the requests need, as long as there are not too many.
    pub spare: usize,
    /// How long one must have been too many before it leaves.
    pub idle: Duration,
}

/// How many there can be.
pub const MOST: usize = 1024;

impl Workers {
    /// The time until one leaves, if nothing is said.
    pub const IDLE: Duration = Duration::from_secs(60);

    /// Always so many.
    #[must_use]
    pub const fn fixed(number: usize) -> Self {
        Self { min: number, max: number, spare: 0, idle: Self::IDLE }
    }

    /// Whether there are always as many.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        self.min == self.max
    }

    /// What an order makes of them: another fixed number, or other bounds. The most
    /// alone lowers the least if it has to.
    ///
    /// # Errors
    /// Why it can't be, and what to do.
    pub fn scaled(&self, min: Option<usize>, max: usize) -> Result<Self, String> {
        let least = min.unwrap_or_else(|| self.min.min(max));
        match (self.is_fixed(), self.min, min) {
            _ if !(1..=MOST).contains(&max) || least > max => Err(format!(
                "{least}..{max}: write numbers from 1 to {MOST}, the smaller one first"
            )),
            (true, _, None) => Ok(Self::fixed(max)),
            (true, _, Some(_)) => {
                Err("this app has a fixed number of workers; give one number".to_owned())
            }
            (false, 0, Some(1..)) => {
                Err("this app has workers on demand, and may have none; give the most alone"
                    .to_owned())
            }
            (false, 1.., Some(0)) => {
                Err("this app keeps a worker; for workers on demand change its configuration"
                    .to_owned())
            }
            _ => Ok(Self { min: least, max, ..*self }),
        }
    }

    /// How many are started before it is known what is asked. One is always among
    /// them: it shows that the app can be imported.
    #[must_use]
    pub fn first(&self) -> usize {
        self.min.max(1)
    }

    /// How many are wanted by so many requests at a time, in thousandths, if each
    /// worker has this many threads.
    #[must_use]
    pub fn for_load(&self, requests_milli: u64, threads: usize) -> usize {
        let each = (threads.max(1) as u64).saturating_mul(1000);
        let needed = usize::try_from(requests_milli.div_ceil(each)).unwrap_or(usize::MAX);
        needed.saturating_add(self.spare).clamp(self.min, self.max)
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self::fixed(1)
    }
}

/// `4`, `2..8` or `0..8`, as they are written.
impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_fixed() {
            true => write!(f, "{}", self.min),
            false => write!(f, "{}..{}", self.min, self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_wants_so_many() {
        let dynamic = Workers { min: 2, max: 8, spare: 1, idle: Workers::IDLE };
        for (requests, threads, wanted) in [
            (0, 4, 2),
            (1, 4, 2),
            (4_000, 4, 2),
            (4_001, 4, 3),
            (16_000, 4, 5),
            (3_000, 1, 4),
            (u64::MAX, 1, 8),
        ] {
            assert_eq!(dynamic.for_load(requests, threads), wanted, "{requests} {threads}");
        }
        let on_demand = Workers { min: 0, max: 3, spare: 0, idle: Workers::IDLE };
        assert_eq!((on_demand.for_load(0, 4), on_demand.for_load(1, 4)), (0, 1));
        assert_eq!((on_demand.first(), dynamic.first()), (1, 2));
        assert_eq!(Workers::fixed(3).for_load(9_000, 1), 3);
    }

    #[test]
    fn they_are_ordered_within_their_mode() {
        let some =
            |min, max| Workers { min, max, spare: usize::from(min > 0), idle: Workers::IDLE };
        let (fixed, dynamic, on_demand) = (Workers::fixed(4), some(2, 8), some(0, 4));
        for (before, min, max, after) in [
            (fixed, None, 6, Ok(Workers::fixed(6))),
            (fixed, Some(2), 6, Err("give one number")),
            (dynamic, None, 6, Ok(some(2, 6))),
            (dynamic, None, 1, Ok(some(1, 1))),
            (dynamic, Some(4), 16, Ok(some(4, 16))),
            (dynamic, Some(0), 4, Err("keeps a worker")),
            (dynamic, Some(5), 4, Err("the smaller one first")),
            (on_demand, None, 9, Ok(some(0, 9))),
            (on_demand, Some(1), 9, Err("give the most alone")),
            (on_demand, None, 0, Err("from 1 to 1024")),
            (fixed, None, 1025, Err("from 1 to 1024")),
        ] {
            match (before.scaled(min, max), after) {
                (Ok(now), Ok(after)) => assert_eq!((now.min, now.max), (after.min, after.max)),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (now, after) => panic!("{before} {min:?} {max}: {now:?}, {after:?}"),
            }
        }
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        assert_eq!(Workers::fixed(4).to_string(), "4");
        let dynamic = Workers { min: 0, max: 8, ..Workers::fixed(1) };
        assert_eq!(dynamic.to_string(), "0..8");
    }
}
