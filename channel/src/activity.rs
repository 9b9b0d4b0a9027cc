//! What each app thread is doing, told in shared memory: a word that says which
//! request it runs, and its thread id. It is there, too, when the worker is dead.
//!
//! Both sides count the requests of a thread, in the same order: the worker those
//! that it runs, the gateway those that it has seen the end of.

use std::sync::Arc;

use crate::layout::{self, ThreadHead};
use crate::memory::Mapping;
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
        let words = self.words();
        let number = after(number(words.word.load(Ordering::Relaxed)));
        words.word.store(u64::from(number) << 32, Ordering::Relaxed);
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

    /// The thread's id; 0 before it has begun.
    pub(crate) fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }
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
}
