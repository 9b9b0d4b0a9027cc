//! How long things took.

use std::time::Duration;

use super::Cell;

/// The upper ends of the buckets, in milliseconds. One more bucket has the rest.
pub(super) const BOUNDS: [u64; 15] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

/// Counts durations in buckets.
#[derive(Debug, Default)]
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

    /// How many took up to each of the bounds, and how many there are in all.
    pub(super) fn cumulative(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        self.buckets.each_ref().map(|bucket| {
            sum += bucket.get();
            sum
        })
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
    fn each_duration_is_in_its_bucket_and_in_all_above() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 3, 70_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counts = histogram.cumulative();
        assert_eq!(counts[..3], [2, 3, 4]);
        assert_eq!((counts[14], counts[15]), (4, 5));
        assert!((histogram.seconds() - 70.006).abs() < 1e-9);
    }
}
