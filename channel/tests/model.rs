//! The channel's promises under every order in which two processes can run,
//! tried by a model checker.
//!
//! The files under test are the very sources of the crate; only their atomics
//! are the checker's.
#![allow(missing_docs, dead_code, unsafe_code, clippy::unwrap_used)]
#![allow(clippy::undocumented_unsafe_blocks)]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[path = "../src/sleeper.rs"]
mod sleeper;
#[path = "../src/slot.rs"]
mod slot;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use sleeper::Sleeper;
use slot::{Parts, Slot};
use sync::{AtomicU64, Ordering};

const PARTS: Parts = Parts { role: 0, place: 0, params: 3, body: 4, data: 0 };

/// A slot with its area, whose accesses the checker watches for races.
#[derive(Default)]
struct Staged {
    slot: Slot,
    area: UnsafeCell<u32>,
    idle: Sleeper,
}

impl Staged {
    fn fill(&self, value: u32) {
        self.area.with_mut(|area| unsafe { *area = value });
    }

    fn read(&self) -> u32 {
        self.area.with(|area| unsafe { *area })
    }
}

#[test]
fn a_request_is_either_claimed_or_taken_back() {
    loom::model(|| {
        let staged = Arc::new(Staged::default());
        staged.fill(7);
        staged.slot.stage(PARTS);
        let worker = {
            let staged = Arc::clone(&staged);
            thread::spawn(move || staged.slot.claim().map(|parts| (parts, staged.read())))
        };
        let taken_back = staged.slot.take_back();
        if taken_back {
            // The area is the gateway's again: the checker would see a race.
            staged.fill(8);
        }
        let claimed = worker.join().unwrap();
        assert_eq!(claimed.is_some(), !taken_back);
        if let Some(claimed) = claimed {
            assert_eq!(claimed, (PARTS, 7));
        }
    });
}

#[test]
fn a_worker_never_sleeps_through_a_request() {
    loom::model(|| {
        let staged = Arc::new(Staged::default());
        let worker = {
            let staged = Arc::clone(&staged);
            thread::spawn(move || {
                staged.idle.announce();
                let news = staged.slot.is_waiting();
                if news {
                    staged.idle.retract();
                    assert_eq!(staged.slot.claim().map(|_| staged.read()), Some(9));
                }
                news
            })
        };
        staged.fill(9);
        staged.slot.stage(PARTS);
        let woken = staged.idle.rouse();
        assert!(worker.join().unwrap() || woken, "asleep, with a request, and nobody wakes it");
    });
}

#[test]
fn a_gateway_never_sleeps_through_an_answer() {
    loom::model(|| {
        let done = Arc::new((AtomicU64::new(0), Sleeper::default()));
        let workers: Vec<_> = (0..2)
            .map(|thread| {
                let done = Arc::clone(&done);
                thread::spawn(move || {
                    done.0.fetch_or(1 << thread, Ordering::Release);
                    done.1.rouse()
                })
            })
            .collect();
        // Looked at before the announcement, as a busy gateway does.
        let early = done.0.swap(0, Ordering::Acquire);
        done.1.announce();
        let late = done.0.swap(0, Ordering::Acquire);
        // Whatever it has seen, it sleeps now: what it has not seen must ring.
        let rung = workers.into_iter().map(|w| w.join().unwrap()).filter(|&rang| rang).count();
        let missed = done.0.load(Ordering::Relaxed);
        assert_eq!(early | late | missed, 3);
        assert!(missed == 0 || rung == 1, "asleep, with answers, and {rung} rang");
    });
}

#[test]
fn an_answer_is_whole_before_the_gateway_sees_it() {
    loom::model(|| {
        let ring = Arc::new((UnsafeCell::new(0_u32), AtomicU64::new(0), AtomicU64::new(0)));
        let worker = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                ring.0.with_mut(|byte| unsafe { *byte = 5 });
                ring.1.store(8, Ordering::Release);
                ring.2.fetch_or(1, Ordering::Release);
            })
        };
        if ring.2.swap(0, Ordering::Acquire) != 0 {
            assert_eq!(ring.1.load(Ordering::Acquire), 8);
            assert_eq!(ring.0.with(|byte| unsafe { *byte }), 5);
        }
        worker.join().unwrap();
    });
}
