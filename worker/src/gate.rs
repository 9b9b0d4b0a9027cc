//! The only way in this crate to let go of the interpreter and come back.
//!
//! A thread that finishes a request lets go of the interpreter and wants it
//! back at once. With many app threads it would mostly win against those that
//! sleep for it, and they would starve. So those that come back queue at a
//! gate, one at a time: hold the gate, attach, open the gate.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::fork;

static GATE: Gate = Gate {
    wanted: AtomicBool::new(false),
    coming: AtomicUsize::new(0),
    busy: AtomicUsize::new(0),
    state: Mutex::new(State { held: false, waiting: 0 }),
    opened: Condvar::new(),
};

struct Gate {
    /// Whether there is more than one app thread.
    wanted: AtomicBool,
    /// How many threads are between wanting to attach and having done so.
    coming: AtomicUsize,
    /// How many app threads have a request.
    busy: AtomicUsize,
    state: Mutex<State>,
    opened: Condvar,
}

struct State {
    held: bool,
    waiting: usize,
}

/// Makes the gate work, which costs a little: for workers of several threads.
pub(crate) fn enable() {
    GATE.wanted.store(true, Ordering::Relaxed);
}

/// Whether another app thread waits for the interpreter, or has a request and may
/// want it at any time: then the one that has it should let go of it now and then.
pub(crate) fn is_crowded() -> bool {
    GATE.coming.load(Ordering::Relaxed) > 0 || GATE.busy.load(Ordering::Relaxed) > 1
}

/// An app thread that has a request, or is looking for one without waiting.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn new() -> Self {
        GATE.busy.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        GATE.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does what may wait, detached from the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> T) -> T {
    // The pass travels out of the closure: it is given back once attached.
    let (value, pass) = py.detach(|| {
        let value = work();
        (value, GATE.enter())
    });
    drop(pass);
    value
}

/// Held while a thread attaches. Unlike a mutex guard it may cross the closure's
/// `Send` bound.
struct Pass;

impl Gate {
    fn enter(&self) -> Option<Pass> {
        // In a forked child the thread that held the gate does not exist.
        if !self.wanted.load(Ordering::Relaxed) || fork::in_a_child() {
            return None;
        }
        self.coming.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        while state.held {
            state.waiting += 1;
            state = self.opened.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.held = true;
        Some(Pass)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        GATE.coming.fetch_sub(1, Ordering::Relaxed);
        let mut state = GATE.state();
        state.held = false;
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            GATE.opened.notify_one();
        }
    }
}
