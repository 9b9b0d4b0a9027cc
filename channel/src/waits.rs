//! How long an app thread waited for the interpreter before each request: counted
//! by the thread itself, in its own lines of shared memory.
//!
//! Nothing travels with a request, and the gateway reads only when somebody asks.
//! A worker may have written anything: what is read is good for counts, and for
//! nothing else.

use std::sync::Arc;

use crate::layout::{self, ThreadHead};
use crate::memory::Mapping;
use crate::sync::{AtomicU64, Ordering};

/// The upper ends of the buckets, in microseconds. One more bucket has the rest.
pub const BOUNDS: [u64; 12] =
    [10, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000];

/// How many buckets there are.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// In shared memory, written by one app thread.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Words {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Words {
    /// The interpreter was there at once, or after so many nanoseconds.
    pub(crate) fn count(&self, nanos: u64) {
        let at = BOUNDS.iter().position(|bound| nanos <= bound * 1_000).unwrap_or(BOUNDS.len());
        add(&self.buckets[at], 1);
        if nanos > 0 {
            add(&self.nanos, nanos);
        }
    }
}

/// There is one writer: no locked instruction is needed.
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// What the threads of one worker, or of several, have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many waits were as long as each bucket says, and in no smaller one.
    pub buckets: [u64; BUCKETS],
    /// All of them together, in nanoseconds.
    pub nanos: u64,
}

impl Waits {
    /// Adds others to these.
    pub fn add(&mut self, others: Self) {
        for (sum, other) in self.buckets.iter_mut().zip(others.buckets) {
            *sum = sum.wrapping_add(other);
        }
        self.nanos = self.nanos.wrapping_add(others.nanos);
    }
}

/// Reads what a worker's threads count, from any thread of the gateway.
#[derive(Debug, Clone)]
pub struct WaitsOf {
    memory: Arc<Mapping>,
    threads: usize,
}

#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
impl WaitsOf {
    pub(crate) const fn new(memory: Arc<Mapping>, threads: usize) -> Self {
        Self { memory, threads }
    }

    /// The sum over its threads.
    #[must_use]
    pub fn read(&self) -> Waits {
        let mut sum = Waits::default();
        for thread in 0..self.threads {
            let words = &self.memory.at::<ThreadHead>(layout::thread(thread)).waits.0;
            sum.add(Waits {
                buckets: words.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed)),
                nanos: words.nanos.load(Ordering::Relaxed),
            });
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_in_its_bucket() {
        let words = Words::default();
        for nanos in [0, 10_000, 10_001, u64::MAX] {
            words.count(nanos);
        }
        let counts = words.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        assert_eq!((counts[0], counts[1], counts[BUCKETS - 1]), (2, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 4);
    }
}
