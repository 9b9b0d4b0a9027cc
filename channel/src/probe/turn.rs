//! Several processes may ask the same worker: one after the other.
//!
//! The word in shared memory says until when it is somebody's turn. So one that ends
//! while it asks holds up the others for a moment only, and so does a worker that
//! writes what it likes.

use std::sync::Arc;
use std::time::Duration;

use crate::activity::moment;
use crate::layout::WorkerHead;
use crate::memory::Mapping;
use crate::sync::{AtomicU64, Ordering};

/// The longest turn.
const LONGEST: Duration = Duration::from_secs(2);

/// How long to wait before it is looked again.
const PAUSE: Duration = Duration::from_millis(1);

/// Who asks, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'m> {
    word: &'m AtomicU64,
    until: u64,
}

impl<'m> Turn<'m> {
    /// Waits for it.
    pub(super) async fn wait(memory: &'m Arc<Mapping>) -> Self {
        let word = &memory.at::<WorkerHead>(0).turn.0;
        loop {
            match Self::take(word, moment()) {
                Some(turn) => return turn,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn take(word: &'m AtomicU64, now: u64) -> Option<Self> {
        let before = word.load(Ordering::Relaxed);
        let until = now + LONGEST.as_nanos() as u64;
        // One that goes on for longer than any can was never begun.
        if before > now && before <= until {
            return None;
        }
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        word.compare_exchange(before, until, order, failed).ok().map(|_| Self { word, until })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Unless it has passed, and is another's.
        let (order, failed) = (Ordering::Release, Ordering::Relaxed);
        let _ = self.word.compare_exchange(self.until, 0, order, failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_when_it_is_given_back_or_too_long() {
        let word = AtomicU64::new(0);
        let longest = LONGEST.as_nanos() as u64;
        let first = Turn::take(&word, 1000).unwrap();
        assert!(Turn::take(&word, 2000).is_none());
        drop(first);
        let second = Turn::take(&word, 2000).unwrap();
        let third = Turn::take(&word, 2000 + longest).unwrap();
        drop(second);
        assert!(Turn::take(&word, 2001 + longest).is_none(), "it is the third one's");
        drop(third);
        word.store(u64::MAX, Ordering::Relaxed);
        assert!(Turn::take(&word, 1000).is_some());
    }
}
