//! How things stand with one generation of an app, and for how long they did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use flupd_channel::ledger::Ledger;
use flupd_channel::times;

use super::Cell;
use super::counters::{Counters, Home};

/// How often a reader looks once more before it tells what it has told last: who writes
/// may have ended in the middle of it.
const TRIES: usize = 1000;

/// How many there are right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stand {
    /// Requests that wait for a thread.
    pub queued: u64,
    /// App threads with a request.
    pub busy: u64,
    /// App threads that take requests.
    pub threads: u64,
    /// Workers that import the app.
    pub starting: u64,
    /// Workers that take requests.
    pub ready: u64,
    /// Workers that finish what they have begun.
    pub leaving: u64,
    /// 1 if there is no worker because none is needed.
    pub asleep: u64,
}

impl Stand {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            queued: self.queued + other.queued,
            busy: self.busy + other.busy,
            threads: self.threads + other.threads,
            starting: self.starting + other.starting,
            ready: self.ready + other.ready,
            leaving: self.leaving + other.leaving,
            asleep: self.asleep + other.asleep,
        }
    }
}

/// One generation of an app. The gateway's thread writes.
#[derive(Debug, Default)]
pub struct Generation {
    queued: Cell,
    times: Home<Times>,
    threads: Cell,
    starting: Cell,
    ready: Cell,
    leaving: Cell,
    asleep: Cell,
}

/// For how long threads were busy, and for how long they took requests and had none.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Times {
    busy: Held,
    idle: Held,
}

impl Times {
    /// Both up to now, in nanoseconds.
    pub(super) fn nanos(&self) -> [u64; 2] {
        [&self.busy, &self.idle].map(|held| held.nanos(times::now))
    }
}

impl Generation {
    /// One that is counted in the ledger of a solo worker.
    pub(super) fn on(ledger: &Ledger<Counters>) -> Self {
        Self { times: Home::times(ledger), ..Self::default() }
    }

    /// One that others count: so it is told.
    pub(super) fn told(now: Stand) -> Self {
        let this = Self::default();
        // From no moment on: no time passes.
        for (held, count) in [(&this.times.busy, now.busy), (&this.times.idle, 0)] {
            held.set(u64::MAX, count);
        }
        this.stands_but_for_times(now);
        this
    }

    /// So it is from now on.
    pub fn stands(&self, now: Stand) {
        let moment = times::now();
        self.times.busy.set(moment, now.busy);
        self.times.idle.set(moment, now.threads.saturating_sub(now.busy));
        self.stands_but_for_times(now);
    }

    fn stands_but_for_times(&self, now: Stand) {
        self.queued.set(now.queued);
        self.threads.set(now.threads);
        self.starting.set(now.starting);
        self.ready.set(now.ready);
        self.leaving.set(now.leaving);
        self.asleep.set(now.asleep);
    }

    /// How it stands.
    #[must_use]
    pub fn stand(&self) -> Stand {
        Stand {
            queued: self.queued.get(),
            busy: self.times.busy.count.load(Relaxed),
            threads: self.threads.get(),
            starting: self.starting.get(),
            ready: self.ready.get(),
            leaving: self.leaving.get(),
            asleep: self.asleep.get(),
        }
    }

    /// For how long threads were busy and idle up to now, all together, in
    /// nanoseconds.
    #[must_use]
    pub fn thread_nanos(&self) -> [u64; 2] {
        self.times.nanos()
    }
}

/// A number of threads, and the time that they spent so: it goes on while nobody
/// writes, as when all of them are busy for a minute.
///
/// A reader must not see one without the other, and the writer waits for nobody:
/// the reader tries again if a write came in between.
#[derive(Debug, Default)]
#[repr(C)]
struct Held {
    /// Odd while a write is under way.
    version: AtomicU64,
    count: AtomicU64,
    since: AtomicU64,
    /// Up to `since`.
    nanos: AtomicU64,
    /// What was told last: a counter must not go back, whatever the clocks say.
    told: AtomicU64,
}

impl Held {
    fn set(&self, now: u64, count: u64) {
        let before = self.count.load(Relaxed);
        if before == count {
            return;
        }
        let lasted = now.saturating_sub(self.since.load(Relaxed));
        let nanos = self.nanos.load(Relaxed).wrapping_add(lasted.wrapping_mul(before));
        self.version.fetch_add(1, SeqCst);
        self.nanos.store(nanos, SeqCst);
        self.since.store(now, SeqCst);
        self.count.store(count, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    fn nanos(&self, now: impl Fn() -> u64) -> u64 {
        let nanos = (0..TRIES).find_map(|_| {
            let version = self.version.load(SeqCst);
            let lasted = now().saturating_sub(self.since.load(SeqCst));
            let nanos =
                self.nanos.load(SeqCst).wrapping_add(lasted.wrapping_mul(self.count.load(SeqCst)));
            std::hint::spin_loop();
            (version.is_multiple_of(2) && self.version.load(SeqCst) == version).then_some(nanos)
        });
        let nanos = nanos.unwrap_or_default();
        self.told.fetch_max(nanos, Relaxed).max(nanos)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn time_goes_on_while_nobody_writes() {
        let held = Held::default();
        held.set(100, 3);
        assert_eq!(held.nanos(|| 150), 150);
        held.set(200, 1);
        assert_eq!(held.nanos(|| 250), 350);
        // A clock that is a little behind takes nothing back.
        assert_eq!(held.nanos(|| 210), 350);
    }

    #[test]
    fn a_reader_never_sees_half_a_write() {
        const MANY: u64 = 1_000_000;
        let (held, clock, over) = (Held::default(), AtomicU64::new(0), AtomicBool::new(false));
        held.set(0, 1);
        thread::scope(|scope| {
            scope.spawn(|| {
                for at in 1..100_000_u64 {
                    // Many for no time at all: the sum is the time itself.
                    clock.store(at * 1000, SeqCst);
                    held.set(at * 1000, MANY);
                    held.set(at * 1000, 1);
                }
                over.store(true, SeqCst);
            });
            while !over.load(SeqCst) {
                let told = held.nanos(|| clock.load(SeqCst));
                assert!(told <= clock.load(SeqCst), "{told}");
            }
        });
    }

    #[test]
    fn idle_is_what_is_left() {
        let generation = Generation::default();
        generation.stands(Stand { threads: 4, busy: 1, ready: 2, ..Stand::default() });
        thread::sleep(std::time::Duration::from_millis(2));
        let [busy, idle] = generation.thread_nanos();
        assert!(busy >= 2_000_000 && idle >= 3 * 2_000_000, "{busy} {idle}");
        assert_eq!((generation.stand().ready, generation.stand().busy), (2, 1));
    }
}
