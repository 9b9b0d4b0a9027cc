//! How long things took.

use std::time::Duration;

use super::Cell;

/// The upper ends of the buckets, in milliseconds. One more bucket has the rest.
pub(super) const BOUNDS: [u64; 15] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

/// Counts durations in buckets.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Histogram {
    /// Each has only what is in no smaller one.
    buckets: [Cell; BOUNDS.len() + 1],
    nanos: Cell,
}

impl Histogram {
    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| nanos <= bound * 1_000_000);
        if let Some(bucket) = self.buckets.get(at.unwrap_or(BOUNDS.len())) {
            bucket.add(1);
        }
        self.nanos.add(nanos);
    }

    /// How many are in each bucket, and in no smaller one.
    pub(super) fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        self.buckets.each_ref().map(Cell::get)
    }

    /// All that is counted.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.buckets.iter().chain([&self.nanos])
    }

    /// How long all of them took together, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "a day has 2^47 nanoseconds")]
    pub(super) fn seconds(&self) -> f64 {
        self.nanos.get() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_its_bucket() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 3, 70_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counts = histogram.counts();
        assert_eq!(counts[..4], [2, 1, 1, 0]);
        assert_eq!((counts[14], counts[15]), (0, 1));
        assert!((histogram.seconds() - 70.006).abs() < 1e-9);
    }
}
