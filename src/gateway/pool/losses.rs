//! What becomes of requests when the worker that has them is lost.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use flupd_channel::{ChannelError, Phase};
use tokio::time::Instant;
use tracing::{error, info};

use super::{Health, Pool};
use crate::control::FromGateway;
use crate::gateway::exchange::{Exchange, Place};
use crate::gateway::recorder::Recorder;
use crate::gateway::refusal::Refusal;
use crate::gateway::seat::Seat;
use crate::observe::ends::{WorkerEnd, unix_ms};

impl Pool {
    /// The worker process has ended: what it did not answer is lost.
    pub(in crate::gateway) fn worker_exited(&self, worker: u64, cause: &str, expected: bool) {
        self.worker_lost(worker, cause);
        let Some(entry) = self.workers.borrow_mut().remove(&worker) else { return };
        self.metrics.worker_ended(worker, cause, expected);
        self.metrics.recent.add(WorkerEnd {
            at_ms: unix_ms(SystemTime::now()),
            app: self.name.as_deref().map(str::to_owned),
            generation: self.id.generation,
            worker,
            pid: entry.pid,
            cause: cause.to_owned(),
            expected,
            requests: entry.lost.join(", "),
        });
        if !self.workers.borrow().values().any(|entry| entry.ready) {
            self.health.set(match (entry.ready, self.health.get()) {
                (false, _) => Health::Failing,
                (true, Health::Asleep) => Health::Asleep,
                (true, _) => Health::Starting,
            });
        }
        let (app, pid, requests) = (self.name.as_deref(), entry.pid, entry.lost.join(", "));
        if expected && requests.is_empty() {
            info!(app, worker, pid, cause, "worker left");
        } else {
            let told = |recorder: Rc<RefCell<Recorder>>| recorder.borrow().told(Instant::now());
            let before = entry.recorder.map(told);
            error!(app, worker, pid, cause, requests, before, "worker died");
        }
        if self.health.get() == Health::Failing {
            self.app_unavailable();
        }
    }

    /// The app can't be started: what waits is refused, and what comes as well,
    /// until a worker is ready.
    pub(in crate::gateway) fn app_unavailable(&self) {
        self.health.set(Health::Failing);
        for exchange in self.queue.take() {
            exchange.refuse(self.unavailable());
        }
    }

    /// The app can't be started at all: web servers are told why.
    pub(in crate::gateway) fn never(&self, why: Rc<str>) {
        self.never.replace(Some(why));
        self.app_unavailable();
    }

    pub(super) fn unavailable(&self) -> Refusal {
        Refusal::app_unavailable(self.never.borrow().clone())
    }

    /// The worker answers no more: its requests are given to others where that
    /// can do no harm, else refused. What it had answered whole is still taken.
    pub(super) fn worker_lost(&self, worker: u64, why: &str) {
        self.drain(worker);
        let seats = self.workers.borrow().get(&worker).map(|entry| entry.seats.clone());
        for seat in seats.unwrap_or_default() {
            seat.dead.set(true);
            self.settle(&seat, why);
        }
        self.spread();
    }

    /// The thread of this seat has gone; the others of its worker may go on.
    pub(in crate::gateway) fn seat_gone(&self, seat: &Rc<Seat>) {
        seat.dead.set(true);
        self.retire(seat);
        self.settle(seat, "the worker has gone");
        self.spread();
    }

    /// No more requests for this seat; what it has not begun goes to others.
    pub(super) fn retire(&self, seat: &Rc<Seat>) {
        seat.open.set(false);
        self.idle.borrow_mut().retain(|idle| !Rc::ptr_eq(idle, seat));
        while let Some(exchange) = seat.take_back() {
            self.put_back(exchange);
        }
        seat.close();
    }

    /// Settles the requests of a dead seat.
    pub(super) fn settle(&self, seat: &Rc<Seat>, why: &str) {
        if let Some(front) = seat.front()
            && !front.is_cancelled()
            && seat.has_end()
        {
            // Its connection takes it, and comes here again for the next one.
            return front.news();
        }
        let untouched = seat.is_untouched();
        let (phase, ran) = (seat.phase(), seat.running_for());
        for (at, exchange) in seat.abandon().into_iter().enumerate().rev() {
            if exchange.is_cancelled() {
                continue;
            }
            if at > 0 || untouched {
                exchange.put(Place::Waiting);
                self.put_back(exchange);
            } else {
                self.request_lost(seat, exchange, Some((phase, ran)), why);
            }
        }
    }

    /// A request that nobody has begun waits again, in front.
    pub(super) fn put_back(&self, exchange: Rc<Exchange>) {
        if exchange.is_internal() {
            return exchange.refuse(Refusal::worker_lost("the worker has gone".to_owned()));
        }
        self.queue_again(exchange);
    }

    /// A worker has not answered this request that it had begun: it is given to
    /// another once if that can do no harm, else refused.
    pub(super) fn request_lost(
        &self,
        seat: &Seat,
        exchange: Rc<Exchange>,
        was: Option<(Phase, Duration)>,
        why: &str,
    ) {
        let repeat = !exchange.started()
            && exchange.is_repeatable()
            && exchange.attempts.get() == 0
            && !exchange.is_internal();
        let verdict = match (exchange.started(), repeat) {
            (true, _) => "cut",
            (false, true) => "repeated",
            (false, false) => "answered 502",
        };
        if let Some(entry) = self.workers.borrow_mut().get_mut(&seat.worker) {
            let was = was.map(|(phase, ran)| format!("{phase}, {} ms, ", ran.as_millis()));
            let was = was.unwrap_or_default();
            entry.lost.push(format!("{} ({was}{verdict})", exchange.describe()));
        }
        if repeat {
            self.metrics.repeated.add(1);
            exchange.attempts.set(1);
            exchange.wait_from_now();
            exchange.put(Place::Waiting);
            self.queue_again(exchange);
        } else {
            exchange.refuse(Refusal::worker_lost(why.to_owned()));
        }
    }

    /// The worker broke the channel protocol: it must be ended.
    pub(in crate::gateway) fn worker_broken(&self, worker: u64, error: &ChannelError) {
        let reason = error.to_string();
        error!(app = self.name.as_deref(), worker, reason, "worker broken");
        for seat in self.workers.borrow().get(&worker).map_or(&[][..], |w| &w.seats) {
            // Nothing of what it says is believed any more.
            for exchange in seat.abandon().into_iter().filter(|e| !e.is_cancelled()) {
                exchange.refuse(Refusal::worker_lost(reason.clone()));
            }
        }
        self.worker_lost(worker, &reason);
        // The supervisor ends with us if it is gone.
        let _ = self.supervisor.send(FromGateway::WorkerBroken { group: self.id, worker, reason });
    }
}
