//! What other threads of a worker can do with a port.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::Activity;
use crate::layout::{self, ThreadHead, WorkerHead};
use crate::memory::Mapping;
use crate::worker::Port;

impl Port {
    /// A handle with which another thread can stop this port.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper::new(Arc::clone(&self.memory), Arc::clone(&self.stopped), self.thread)
    }

    /// The request that was received last, for a thread that watches over it.
    #[must_use]
    pub fn running(&self) -> Running {
        Running::new(Arc::clone(&self.memory), self.thread, self.slot)
    }

    /// Where the thread of this port writes what it does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity::new(Arc::clone(&self.memory), self.thread)
    }
}

/// Stops a port from another thread.
#[derive(Debug)]
pub struct Stopper {
    memory: Arc<Mapping>,
    stopped: Arc<AtomicBool>,
    thread: usize,
}

impl Stopper {
    pub(crate) const fn new(memory: Arc<Mapping>, stopped: Arc<AtomicBool>, thread: usize) -> Self {
        Self { memory, stopped, thread }
    }

    /// The thread takes no request any more: a waiting `Port::receive` returns
    /// `Received::Closed`. The running one goes on; what is staged behind it
    /// goes to another worker once the port is dropped.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.memory.at::<ThreadHead>(layout::thread(self.thread)).idle.0.wake();
    }
}

/// What a gateway in this process calls when it has cancelled a request.
static TOLD: OnceLock<fn()> = OnceLock::new();

/// Has `told` called by a gateway in this very process each time it has cancelled a
/// request: who watches over requests of several channels can't sleep at one of
/// them. The first one given counts.
pub fn on_cancel_here(told: fn()) {
    let _ = TOLD.set(told);
}

/// A request of this process was cancelled.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn tell_here() {
    if let Some(told) = TOLD.get() {
        told();
    }
}

/// A request that an app thread runs, as another thread sees it. It means
/// nothing once the request has ended: the slot is another one's then.
#[derive(Debug, Clone)]
pub struct Running {
    memory: Arc<Mapping>,
    thread: usize,
    slot: usize,
}

impl Running {
    pub(crate) const fn new(memory: Arc<Mapping>, thread: usize, slot: usize) -> Self {
        Self { memory, thread, slot }
    }

    /// Whether the gateway has said that nobody waits for the answer.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.memory.at::<ThreadHead>(layout::thread(self.thread)).slots[self.slot].is_cancelled()
    }

    /// Sleeps until some request of this worker is cancelled, somebody calls
    /// [`Running::wake`], or `at_most` is over; not at all if there is `news`
    /// already. One thread of a worker at a time.
    pub fn sleep(&self, at_most: Duration, news: impl FnOnce() -> bool) {
        let watcher = &self.memory.at::<WorkerHead>(0).watcher.0;
        watcher.announce();
        if !news() {
            watcher.sleep(at_most);
        }
        watcher.retract();
    }

    /// Ends the sleep of the thread that watches, if there is one.
    pub fn wake(&self) {
        self.memory.at::<WorkerHead>(0).watcher.0.wake();
    }
}
