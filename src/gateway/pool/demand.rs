//! How many requests there are, for the supervisor that starts workers as they are
//! needed. Nothing is measured for an app whose workers are always as many.
//!
//! It is told when it has changed, after a [`TICK`] in which the average is taken;
//! at once when requests come that find nobody.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Health, Pool};
use crate::config::Workers;
use crate::control::{FromGateway, Load};
use crate::gateway::park;

/// How long is measured before something is told.
const TICK: Duration = Duration::from_millis(200);

/// What is measured of one pool.
#[derive(Debug)]
pub(super) struct Meter {
    workers: Cell<Workers>,
    /// The requests that run or wait, since then.
    requests: Cell<(usize, Instant)>,
    /// The time that requests have taken since then, in nanoseconds.
    sum: Cell<(u128, Instant)>,
    told: Cell<Load>,
    /// There is something to tell.
    changed: Notify,
}

impl Default for Meter {
    fn default() -> Self {
        let now = park::now();
        Self {
            workers: Cell::default(),
            requests: Cell::new((0, now)),
            sum: Cell::new((0, now)),
            told: Cell::default(),
            changed: Notify::new(),
        }
    }
}

impl Meter {
    /// How many workers there may be.
    pub(super) const fn workers(&self) -> Workers {
        self.workers.get()
    }

    /// Has who measures look around.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Nothing is of interest any more.
    pub(super) fn stop(&self) {
        self.workers.take();
    }

    /// There are so many requests now.
    fn count(&self, requests: usize, now: Instant) {
        let (before, since) = self.requests.replace((requests, now));
        let took = now.saturating_duration_since(since).as_nanos() * before as u128;
        let (sum, begun) = self.sum.get();
        self.sum.set((sum + took, begun));
    }

    /// What was told still holds, and is not measured again.
    fn begin(&self, now: Instant) {
        self.count(self.requests.get().0, now);
        let (sum, _) = self.sum.get();
        // Of a short request nothing may be left by now.
        let sum = if self.told.get().requests_milli == 0 { sum } else { 0 };
        self.sum.set((sum, now));
    }

    /// How many there were at a time since this was asked last, in thousandths. Some
    /// are never none.
    fn average(&self, now: Instant) -> u64 {
        self.count(self.requests.get().0, now);
        let (sum, begun) = self.sum.replace((0, now));
        let time = now.saturating_duration_since(begun).as_nanos().max(1);
        u64::try_from((sum * 1000).div_ceil(time)).unwrap_or(u64::MAX)
    }

    /// How many there are now, in thousandths.
    fn present(&self) -> u64 {
        (self.requests.get().0 as u64).saturating_mul(1000)
    }
}

impl Pool {
    /// There may be so many workers from now on.
    pub(in crate::gateway) fn set_workers(&self, workers: Workers) {
        self.meter.workers.set(workers);
        self.metrics.set_workers(&workers);
        // Whoever has said so knows of nothing that was told before.
        self.meter.told.take();
        self.meter.wake();
    }

    /// No worker is needed: the next request starts one.
    pub(in crate::gateway) fn sleeps(&self) {
        if self.inside().1 {
            self.health.set(Health::Asleep);
        }
        self.measure();
    }

    /// Looks how many requests there are, if that is of interest, and whether it has
    /// to be told.
    pub(super) fn measure(&self) {
        let meter = &self.meter;
        if meter.workers.get().is_fixed() {
            return;
        }
        let now = park::now();
        let (inside, nobody) = self.inside();
        if inside != meter.requests.get().0 {
            meter.count(inside, now);
        }
        let told = meter.told.get();
        let (requests_milli, idlest) = (meter.present(), self.idlest());
        if nobody && inside > 0 && told.requests_milli == 0 {
            return self.tell_load(Load { requests_milli, idlest });
        }
        if told != (Load { requests_milli, idlest }) {
            meter.wake();
        }
    }

    /// The requests at seats that stay, and those that wait; and whether there is
    /// no such seat.
    fn inside(&self) -> (usize, bool) {
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|worker| &worker.seats);
        let open = seats.filter(|seat| seat.open.get());
        let (seats, seated) =
            open.fold((0, 0), |(seats, seated), seat| (seats + 1, seated + seat.depth()));
        (seated + self.queue.borrow().len(), seats == 0)
    }

    /// The worker without requests that has had none for longest.
    fn idlest(&self) -> Option<u64> {
        self.idle.borrow().iter().find(|seat| seat.load() == 0).map(|seat| seat.worker)
    }

    fn tell_load(&self, load: Load) {
        if self.meter.told.replace(load) != load {
            // The supervisor ends with us if it is gone.
            let _ = self.supervisor.send(FromGateway::Load { group: self.id, load });
        }
    }

    /// Tells what has changed, until nobody works here any more.
    pub(in crate::gateway) async fn gauge(self: Rc<Self>) {
        loop {
            self.meter.changed.notified().await;
            if self.deserted.get() {
                return;
            }
            self.meter.begin(Instant::now());
            tokio::time::sleep(TICK).await;
            if self.meter.workers.get().is_fixed() {
                continue;
            }
            let requests_milli = self.meter.average(Instant::now());
            self.tell_load(Load { requests_milli, idlest: self.idlest() });
            if requests_milli != self.meter.present() {
                self.meter.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_averaged_over_the_time_that_they_take() {
        let meter = Meter::default();
        let begun = meter.sum.get().1;
        let at = |ms| begun + Duration::from_millis(ms);
        meter.count(1, at(0));
        meter.count(3, at(100));
        meter.count(0, at(150));
        assert_eq!(meter.average(at(200)), 1250);
        assert_eq!((meter.average(at(400)), meter.present()), (0, 0));
        // One short request is not none.
        meter.count(1, at(400));
        meter.count(0, at(400) + Duration::from_nanos(10));
        assert_eq!(meter.average(at(600)), 1);
        meter.count(2, at(600));
        assert_eq!((meter.average(at(800)), meter.present()), (2000, 2000));
    }
}
