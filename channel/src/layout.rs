//! What lies where in a worker's shared memory.
//!
//! ```text
//! WorkerHead · ledger · thread 0 · thread 1 · …
//! thread: ThreadHead · 16 request areas · response ring
//! ```
//!
//! What the gateway writes and what the worker writes stand on different cache
//! lines, so that neither slows the other down. All bytes begin as zero.
#![allow(unsafe_code)]

use crate::activity::Words;
use crate::memory::Shared;
use crate::sleeper::Sleeper;
use crate::slot::Slot;
use crate::sync::{AtomicU32, AtomicU64};
use crate::waits;

/// How many requests can be staged on one app thread, the running one included.
pub(crate) const SLOTS: usize = 16;

/// Room for the params and the body of one request, in bytes. What does not fit
/// travels as a descriptor.
pub(crate) const AREA: usize = 32 * 1024;

/// The size of a response ring in bytes; a power of two.
pub(crate) const RING: usize = 512 * 1024;

/// Room for what a gateway in the worker's own process counts: see [`crate::ledger`].
pub(crate) const LEDGER: usize = 4096;

/// How many app threads a worker can have: one bit each in the worker's head.
pub const MAX_THREADS: usize = 240;

/// Alone on its cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Line<T>(pub(crate) T);

/// In front of all threads.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct WorkerHead {
    /// Whether the gateway sleeps.
    pub(crate) gateway: Line<Sleeper>,
    /// The threads whose rings have news: set by the worker, taken by the gateway.
    pub(crate) done: Line<[AtomicU64; 4]>,
    /// Whether the worker's watcher sleeps: see [`crate::worker::Running`].
    pub(crate) watcher: Line<Sleeper>,
    /// Whose turn it is to ask the [probe](crate::probe): until when, in nanoseconds
    /// of `CLOCK_MONOTONIC_COARSE`.
    pub(crate) turn: Line<AtomicU64>,
    /// Written by a gateway in the worker's own process: see
    /// [`crate::onlooker::Crowd`].
    pub(crate) crowd: Line<[AtomicU64; 3]>,
}

/// In front of each thread's areas.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct ThreadHead {
    /// Written by the gateway: how far the ring is read.
    pub(crate) read: Line<AtomicU64>,
    /// Written by the worker: how far the ring is written.
    pub(crate) written: Line<AtomicU64>,
    /// Whether the thread sleeps for a request.
    pub(crate) idle: Line<Sleeper>,
    /// Whether the thread sleeps for room in its ring.
    pub(crate) blocked: Line<Sleeper>,
    /// Set by the gateway: no more requests come.
    pub(crate) closed: Line<AtomicU32>,
    /// Written by the worker: what the thread is doing.
    pub(crate) activity: Line<Words>,
    /// Written by the worker: how long the thread waited for the interpreter.
    pub(crate) waits: Line<waits::Words>,
    /// The requests.
    pub(crate) slots: [Slot; SLOTS],
}

// SAFETY: Atomics and padding only, `repr(C)`.
unsafe impl Shared for WorkerHead {}
// SAFETY: Atomics and padding only, `repr(C)`.
unsafe impl Shared for ThreadHead {}

/// The length of the shared memory of a worker.
pub(crate) const fn length(threads: usize) -> usize {
    thread(threads)
}

/// Where the ledger begins.
pub(crate) const fn ledger() -> usize {
    size_of::<WorkerHead>()
}

/// Where a thread begins.
pub(crate) const fn thread(thread: usize) -> usize {
    ledger() + LEDGER + thread * (size_of::<ThreadHead>() + SLOTS * AREA + RING)
}

/// Where a request area of a thread begins.
pub(crate) const fn area(thread: usize, slot: usize) -> usize {
    self::thread(thread) + size_of::<ThreadHead>() + slot * AREA
}

/// Where the ring of a thread begins.
pub(crate) const fn ring(thread: usize) -> usize {
    area(thread, SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_begins_on_a_page_and_none_overlap() {
        assert_eq!(size_of::<WorkerHead>(), 4096);
        assert_eq!(size_of::<ThreadHead>(), 4096);
        assert!(RING.is_power_of_two() && MAX_THREADS <= 4 * 64);
        for t in 0..3 {
            assert_eq!(thread(t) % 4096, 0);
            assert_eq!(area(t, 0), thread(t) + 4096);
            assert_eq!(ring(t), area(t, SLOTS - 1) + AREA);
            assert_eq!(thread(t + 1), ring(t) + RING);
        }
        assert_eq!(length(2), thread(2));
    }
}
