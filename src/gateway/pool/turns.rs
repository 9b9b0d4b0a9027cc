//! What the pool does in each turn of the gateway: wake threads that have got
//! something, and find the answers that are there.

use std::rc::Rc;
use std::time::Duration;

use flupd_channel::Outcome;
use flupd_channel::worker::Pump;

use super::staging::YOUNG;
use super::{Health, Pool};
use crate::gateway::exchange::{Exchange, Place, Pumped};
use crate::gateway::park;
use crate::gateway::seat::Seat;
use crate::gateway::solo;
use crate::observe::metrics::Stand;

/// After so many changes the wake-ups go out although the gateway is busy.
const BATCH: u32 = 32;

/// How long an answer can lie unseen behind which a long request runs.
const PULSE: Duration = Duration::from_millis(1);

impl Pool {
    /// There may be something in the ring of this seat; `true` if a connection
    /// has been told.
    pub(super) fn look(&self, seat: &Rc<Seat>) -> bool {
        let Some(front) = seat.front() else { return false };
        if front.is_cancelled() {
            self.discard(seat, &front);
            return false;
        }
        let news = seat.has_news();
        if news {
            front.news();
        }
        news
    }

    pub(super) fn discard(&self, seat: &Rc<Seat>, unwanted: &Rc<Exchange>) {
        match seat.discard(unwanted) {
            Ok(None) => {}
            Ok(Some(Outcome::Exit)) => {
                self.drain(seat.worker);
                self.freed(seat);
            }
            Ok(Some(_)) => self.freed(seat),
            Err(error) => self.worker_broken(seat.worker, &error),
        }
    }

    /// Wakes the threads that have got something since the last time.
    fn wake(&self) {
        self.changes.set(0);
        // The memory is kept for the next turn.
        self.to_wake.borrow_mut().drain(..).for_each(|seat| seat.wake());
    }

    /// Lets the connections look that have something to take; `true` if there is
    /// one.
    pub(in crate::gateway) fn scan(&self) -> bool {
        // Looking may come here again: each has its own, and one is kept.
        let mut with_news = self.with_news.take();
        for worker in self.workers.borrow().values() {
            worker.memory.news(|thread| with_news.extend(worker.seats.get(thread).cloned()));
        }
        let told = with_news.drain(..).fold(false, |told, seat| self.look(&seat) | told);
        self.with_news.replace(with_news);
        told
    }

    /// A gateway that is never idle still has to wake and to look.
    pub(super) fn changed(&self) {
        let changes = self.changes.get() + 1;
        self.changes.set(changes);
        if changes >= BATCH {
            park::forget_time();
            self.wake();
            self.scan();
            self.tell();
        }
    }

    /// The gateway is about to sleep: has the workers ring from now on, looks at
    /// what came before, and wakes the threads that have got something. News
    /// keeps the gateway awake, for it makes connections runnable.
    pub(in crate::gateway) fn before_sleep(&self) {
        let mut news = false;
        for worker in self.workers.borrow().values() {
            news |= worker.memory.about_to_sleep();
        }
        if news {
            self.scan();
        }
        self.wake();
        self.measure();
        self.tell();
        // What is staged on this very thread is run before the sleep.
        let behind = !solo::is_here();
        let waits = |seat: &Rc<Seat>| behind && seat.depth() > 1 || seat.blocked.get();
        if self.workers.borrow().values().any(|w| w.seats.iter().any(waits)) {
            self.pulse.notify_one();
        }
    }

    /// Tells the metrics how things stand, if somebody may look.
    pub(super) fn tell(&self) {
        if !self.metrics.is_watched() {
            return;
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let asleep = self.health.get() == Health::Asleep;
        let queued = count(self.queue.borrow().len());
        let mut now = Stand { queued, asleep: u64::from(asleep), ..Stand::default() };
        for worker in self.workers.borrow().values() {
            let open = count(worker.seats.iter().filter(|seat| seat.open.get()).count());
            now.busy += count(worker.seats.iter().filter(|seat| seat.depth() > 0).count());
            now.threads += open;
            match (worker.ready, open) {
                (false, _) => now.starting += 1,
                (true, 0) => now.leaving += 1,
                (true, _) => now.ready += 1,
            }
        }
        if self.stand.replace(now) != now {
            self.standing.stands(now);
        }
    }

    /// Looks at least once in each [`PULSE`] while requests are staged behind
    /// others: their worker may have answered one and not said so yet, or the one
    /// in front may turn out to be long.
    pub(in crate::gateway) async fn pulse(self: Rc<Self>) {
        loop {
            self.pulse.notified().await;
            if self.deserted.get() {
                return;
            }
            tokio::time::sleep(PULSE).await;
            self.unstick();
            self.press();
        }
    }

    /// The app runs on this very thread. Where it was quick the last time and nothing else
    /// is staged, it answers this request now, and the answer goes out in the turn in
    /// which the request came. Else it waits for the end of the turn: what has arrived
    /// meanwhile is then known to who looks on, and to the queue's bound.
    pub(in crate::gateway) fn run_at_once(&self, exchange: &Rc<Exchange>) {
        let Place::Seated(seat) = exchange.place() else { return };
        if seat.depth() == 1 && seat.last_ran() < YOUNG && seat.is_untouched() {
            self.tell();
            solo::tell_crowd();
            solo::step();
            park::forget_time();
        }
    }

    /// The gateway is awake again.
    pub(in crate::gateway) fn after_sleep(&self) {
        for worker in self.workers.borrow().values() {
            worker.memory.awake();
        }
        self.scan();
    }

    /// The app runs on this very thread and wants its answer sent, room in its
    /// ring, or to know whether its client is there. Room comes at the latest when the client has not taken anything for
    /// the time it may.
    pub(in crate::gateway) fn pump(&self, worker: u64, what: Pump) {
        let seat = self.workers.borrow().get(&worker).and_then(|w| w.seats.first().cloned());
        let Some(seat) = seat else { return };
        // Answers of requests that ran before this one stand before its own.
        while let Some(front) = seat.front() {
            if !front.is_cancelled() {
                match front.pump(what) {
                    // There is room; what is behind may have nothing to send yet.
                    Ok(Pumped::End) if what == Pump::Room => return,
                    Ok(Pumped::End) => continue,
                    Ok(Pumped::Part) => return,
                    Err(_) => {
                        front.cancel();
                        seat.cancel(&front);
                    }
                }
            }
            // Taken to its end before its client was found gone: what stands in the
            // ring now belongs to another one. There is room: the next one may have put
            // nothing yet, and would be waited for without end.
            if !seat.serves(&front) {
                if what == Pump::Room {
                    return;
                }
                continue;
            }
            self.discard(&seat, &front);
            if seat.serves(&front) || what == Pump::Room {
                return;
            }
        }
    }

    /// Whether other requests wait behind the one in front of this seat. Then
    /// its answer is copied out for a slow client; else it stays in the ring.
    pub(in crate::gateway) fn is_pressed(&self, seat: &Seat) -> bool {
        seat.depth() > 1 || !self.queue.borrow().is_empty()
    }

    /// Answers for slow clients shall make room if requests wait behind them.
    fn press(&self) {
        for worker in self.workers.borrow().values() {
            for seat in worker.seats.iter().filter(|s| s.blocked.get() && self.is_pressed(s)) {
                seat.front().iter().for_each(|front| front.news());
            }
        }
    }
}
