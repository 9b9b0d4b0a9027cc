//! How a [`Sleeper`] sleeps in the kernel, and is woken from another process.

use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec, wait, wake};

use crate::sleeper::{ASLEEP, Sleeper};

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Roused, or perhaps so: look for news.
    Woken,
    /// A signal handler has run.
    Interrupted,
    /// The time is over.
    TimedOut,
}

impl Sleeper {
    /// Sleeps while nobody rouses.
    pub(crate) fn sleep(&self, at_most: Duration) -> Slept {
        let at_most = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at_most.subsec_nanos()),
        };
        match wait(self.word(), Flags::empty(), ASLEEP, Some(&at_most)) {
            Err(Errno::INTR) => Slept::Interrupted,
            Err(Errno::TIMEDOUT) => Slept::TimedOut,
            Ok(()) | Err(_) => Slept::Woken,
        }
    }

    /// Rouses the waiter, with a system call only if it sleeps.
    pub(crate) fn wake(&self) {
        if self.rouse() {
            // Nobody waiting any more is as good.
            let _ = wake(self.word(), Flags::empty(), 1);
        }
    }
}
