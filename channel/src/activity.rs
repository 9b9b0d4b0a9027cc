//! What each app thread is doing, told in shared memory: a word that says which
//! request it runs, and its thread id. It is there, too, when the worker is dead.
//!
//! Both sides count the requests of a thread, in the same order: the worker those
//! that it runs, the gateway those that it has seen the end of.
//!
//! There is also what the thread's CPU clock said when its request began, so that
//! who asks can tell what the request has cost. To ask that clock costs a system
//! call; so a worker asks it once in a tick of the kernel's clock, and what
//! several requests of one tick have cost may be counted to the last of them.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::layout::{self, ThreadHead};
use crate::memory::Mapping;
use crate::observed;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Of a request: what of flupd's runs is in the lower half of the word.
const APP: u64 = 1;
const OVER: u64 = 2;

/// The number after this one. None is 0.
pub(crate) const fn after(number: u32) -> u32 {
    match number.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

/// In shared memory, written by the worker only.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Words {
    /// The number of the last request that was begun, and what it has come to.
    word: AtomicU64,
    tid: AtomicU32,
    /// In which tick that request was begun, in nanoseconds of
    /// `CLOCK_MONOTONIC_COARSE`.
    tick: AtomicU64,
    /// The thread's CPU clock in that tick, in nanoseconds.
    cpu: AtomicU64,
}

/// A request that an app thread has begun, as the worker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The thread's id.
    pub tid: u32,
    /// The thread's CPU clock when it began, or up to a tick of the kernel's
    /// clock before.
    pub cpu: Duration,
    /// When that was: nanoseconds of `CLOCK_MONOTONIC`, up to a tick before.
    pub at: u64,
}

/// Where an app thread writes what it does.
#[derive(Debug, Clone)]
pub struct Activity {
    memory: Arc<Mapping>,
    thread: usize,
}

impl Activity {
    pub(crate) const fn new(memory: Arc<Mapping>, thread: usize) -> Self {
        Self { memory, thread }
    }

    /// This is the thread.
    pub fn enter(&self) {
        self.words()
            .tid
            .store(rustix::thread::gettid().as_raw_pid().cast_unsigned(), Ordering::Relaxed);
    }

    /// The next request is begun.
    pub fn take(&self) {
        if !observed::is_on() {
            return;
        }
        let words = self.words();
        let tick = moment();
        if words.tick.load(Ordering::Relaxed) != tick {
            words.tick.store(tick, Ordering::Relaxed);
            words.cpu.store(nanos(ClockId::ThreadCPUTime), Ordering::Relaxed);
        }
        let number = after(number(words.word.load(Ordering::Relaxed)));
        // Who sees the number sees its clocks.
        words.word.store(u64::from(number) << 32, Ordering::Release);
    }

    /// The app runs it.
    pub fn begin(&self) {
        self.put(APP);
    }

    /// The app is done with it.
    pub fn end(&self) {
        self.put(OVER);
    }

    /// Whether the app runs the request of this number.
    #[must_use]
    pub fn runs(&self, number: u32) -> bool {
        self.words().word.load(Ordering::Relaxed) == u64::from(number) << 32 | APP
    }

    fn put(&self, what: u64) {
        if !observed::is_on() {
            return;
        }
        let words = self.words();
        let word = words.word.load(Ordering::Relaxed);
        words.word.store(word & !u64::from(u32::MAX) | what, Ordering::Relaxed);
    }

    fn words(&self) -> &Words {
        &self.memory.at::<ThreadHead>(layout::thread(self.thread)).activity.0
    }
}

/// What has become of a request that was given to an app thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The thread has not seen it yet.
    Staged,
    /// The thread has taken it, and waits for the interpreter.
    Claimed,
    /// The app runs.
    App,
    /// The app runs, and waits until the client has taken some of its answer.
    Writing,
    /// The app is done.
    Over,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Staged => "staged",
            Self::Claimed => "waiting for the interpreter",
            Self::App => "in the app",
            Self::Writing => "writing",
            Self::Over => "done",
        })
    }
}

#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
impl Words {
    /// What has become of the request of this number, which the thread has taken.
    /// It may have written anything.
    pub(crate) fn phase(&self, request: u32, blocked: bool) -> Phase {
        let word = self.word.load(Ordering::Relaxed);
        match word as u32 {
            _ if number(word) != request => Phase::Claimed,
            _ if blocked => Phase::Writing,
            0 => Phase::Claimed,
            1 => Phase::App,
            _ => Phase::Over,
        }
    }

    /// The number of the last request that was begun.
    pub(crate) fn last(&self) -> u32 {
        number(self.word.load(Ordering::Relaxed))
    }

    /// How the request of this number was begun; `None` if it is not the last one
    /// that was.
    pub(crate) fn begun(&self, request: u32) -> Option<Begun> {
        let is_last = || number(self.word.load(Ordering::Acquire)) == request;
        if !is_last() {
            return None;
        }
        let begun = Begun {
            tid: self.tid.load(Ordering::Relaxed),
            cpu: Duration::from_nanos(self.cpu.load(Ordering::Acquire)),
            at: self.tick.load(Ordering::Acquire),
        };
        is_last().then_some(begun)
    }
}

/// Now, in nanoseconds of a clock that is cheap and up to a tick behind.
pub(crate) fn moment() -> u64 {
    nanos(ClockId::MonotonicCoarse)
}

/// A clock that begins at 0 when the machine or the thread does.
fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

const fn number(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_has_the_number_0() {
        assert_eq!([after(0), after(7), after(u32::MAX)], [1, 8, 1]);
    }

    #[test]
    fn a_request_is_claimed_until_its_number_stands_there() {
        let words = Words::default();
        assert_eq!(words.phase(1, false), Phase::Claimed);
        words.word.store(1 << 32, Ordering::Relaxed);
        assert_eq!(words.phase(1, false), Phase::Claimed);
        words.word.store(1 << 32 | APP, Ordering::Relaxed);
        assert_eq!(words.phase(1, false), Phase::App);
        assert_eq!(words.phase(1, true), Phase::Writing);
        assert_eq!(words.phase(2, false), Phase::Claimed);
        words.word.store(1 << 32 | OVER, Ordering::Relaxed);
        assert_eq!(words.phase(1, false), Phase::Over);
        words.word.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(words.phase(u32::MAX, false), Phase::Over);
    }

    #[test]
    fn a_request_is_begun_with_the_clock_of_its_thread() {
        let words = Words::default();
        assert_eq!(words.begun(1), None);
        words.tid.store(7, Ordering::Relaxed);
        words.cpu.store(5_000_000, Ordering::Relaxed);
        words.word.store(1 << 32 | APP, Ordering::Release);
        let begun = Begun { tid: 7, cpu: Duration::from_millis(5), at: 0 };
        assert_eq!((words.begun(1), words.begun(2)), (Some(begun), None));
    }
}
