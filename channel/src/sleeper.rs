//! Sleeping without missing the wake-up, and waking only who really sleeps.
//!
//! ```text
//! waiter                          waker
//!   announce: flag = 1              publish the news
//!   fence                           fence
//!   is there news? ─yes─▶ retract   flag == 1? ─yes─▶ flag = 0, wake
//!   └─no─▶ sleep while flag == 1
//! ```
//!
//! The two fences make it impossible that the waiter misses the news *and* the
//! waker misses the flag.

use crate::sync::{AtomicU32, Ordering, fence};

const AWAKE: u32 = 0;
/// What the flag holds while its side sleeps.
pub(crate) const ASLEEP: u32 = 1;

/// A flag in shared memory that says whether one side sleeps. The default, all
/// zero, is awake.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Sleeper(AtomicU32);

impl Sleeper {
    /// The waiter is about to sleep. It must look for news once more after
    /// this.
    pub(crate) fn announce(&self) {
        self.0.store(ASLEEP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The waiter is awake after all.
    pub(crate) fn retract(&self) {
        self.0.store(AWAKE, Ordering::Relaxed);
    }

    /// The waker has published its news: whether it has to wake the waiter now.
    /// Of several wakers only one is told so.
    pub(crate) fn rouse(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == ASLEEP && self.0.swap(AWAKE, Ordering::Relaxed) == ASLEEP
    }

    /// Whether the waiter sleeps.
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) fn is_asleep(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ASLEEP
    }

    /// The flag itself.
    pub(crate) const fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
