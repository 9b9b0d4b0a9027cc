//! Which app thread gets a request, and when.
//!
//! To an idle process it goes at once. Else it is staged behind a young request,
//! so that its thread goes on without a wake-up; else it waits in the queue, in
//! order. Whoever waits behind a request that turns out to be long is taken back.

use std::rc::Rc;
use std::time::Duration;

use flupd_channel::observed;
use tracing::{error, warn};

use super::{Health, Pool};
use crate::gateway::exchange::Exchange;
use crate::gateway::refusal::Refusal;
use crate::gateway::request::Request;
use crate::gateway::seat::Seat;
use crate::gateway::solo;

/// How many requests a seat has at most, the running one included.
const DEPTH: usize = 8;

/// Nothing is staged behind a request that has been running for longer.
pub(super) const YOUNG: Duration = Duration::from_micros(500);

impl Pool {
    /// Hands in a whole request.
    pub(in crate::gateway) fn submit(&self, exchange: Rc<Exchange>) {
        if observed::is_on() {
            self.metrics.received.add(exchange.request.as_ref().map_or(0, Request::length));
        }
        let refusal = if self.health.get() == Health::Failing {
            self.unavailable()
        } else if self.queue.borrow().is_empty() && self.seat(&exchange) {
            return self.changed();
        } else if self.queue.borrow().len() < self.limits.get().queue {
            return self.queue.borrow_mut().push_back(exchange);
        } else {
            Refusal::queue_full(self.limits.get().queue)
        };
        self.say_refused(&exchange, &refusal);
        exchange.refuse(refusal);
    }

    pub(super) fn say_refused(&self, exchange: &Exchange, refusal: &Refusal) {
        self.refused.say(|and_before| {
            let (request, id) = (exchange.describe(), exchange.id());
            let app = self.name.as_deref();
            warn!(app, request, id, why = refusal.why, and_before, "request refused");
        });
    }

    /// Gives a seat with room the next requests, or makes it idle.
    pub(super) fn refill(&self, seat: &Rc<Seat>) {
        while seat.depth() < depth(seat) {
            let Some(next) = self.dequeue() else { break };
            if fits(seat, &next) {
                self.stage(seat, next);
            } else {
                self.queue.borrow_mut().push_front(next);
                break;
            }
        }
        if seat.depth() == 0
            && let Some(stolen) = self.steal(seat)
        {
            self.stage(seat, stolen);
        }
        let mut idle = self.idle.borrow_mut();
        let listed = idle.iter().position(|idle| Rc::ptr_eq(idle, seat));
        match (listed, seat.depth()) {
            (None, 0) => idle.push(Rc::clone(seat)),
            (Some(at), 1..) => drop(idle.remove(at)),
            _ => {}
        }
    }

    /// A request that waits behind another one, where that has run longest. It
    /// only moves within its process if that one runs for long already: two
    /// short ones would only contend for the interpreter.
    fn steal(&self, thief: &Seat) -> Option<Rc<Exchange>> {
        let workers = self.workers.borrow();
        let waiting = workers.values().flat_map(|w| &w.seats).filter(|seat| seat.depth() > 1);
        let free = waiting.filter(|seat| thief.load() == 0 || seat.running_for() >= YOUNG);
        let longest = free.max_by_key(|seat| seat.running_for())?;
        while longest.depth() > 1 {
            let taken = longest.take_back()?;
            if !taken.is_cancelled() {
                return Some(taken);
            }
        }
        None
    }

    /// The next request of the queue that somebody waits for.
    fn dequeue(&self) -> Option<Rc<Exchange>> {
        let mut queue = self.queue.borrow_mut();
        std::iter::from_fn(|| queue.pop_front()).find(|next| !next.is_cancelled())
    }

    /// Gives what is queued to the seats that have room for it.
    pub(super) fn spread(&self) {
        let successor = self.successor.borrow().clone();
        if let Some(successor) = successor {
            return self.pass_on(&successor);
        }
        while let Some(next) = self.dequeue() {
            if !self.seat(&next) {
                return self.queue.borrow_mut().push_front(next);
            }
        }
    }

    /// Gives what is queued to who has taken over, in front of what waits there.
    fn pass_on(&self, successor: &Rc<Self>) {
        let waiting = self.queue.take();
        if waiting.is_empty() {
            return;
        }
        for exchange in waiting.into_iter().rev().filter(|exchange| !exchange.is_cancelled()) {
            exchange.set_pool(Rc::clone(successor));
            successor.queue.borrow_mut().push_front(exchange);
        }
        if successor.health.get() == Health::Failing {
            return successor.app_unavailable();
        }
        successor.spread();
        successor.changed();
    }

    /// Finds a seat for a request: one in an idle process; else behind a young
    /// request, whose thread then goes on without a wake-up and without another
    /// one that contends for its interpreter; else an idle one anywhere.
    fn seat(&self, exchange: &Rc<Exchange>) -> bool {
        let seat = self
            .pick_idle(true)
            .or_else(|| self.pick_young(exchange).or_else(|| self.pick_idle(false)));
        seat.inspect(|seat| self.stage(seat, Rc::clone(exchange))).is_some()
    }

    /// An idle seat, of the worker with the fewest requests inside, or with none;
    /// the last used of those, whose caches are warm. It leaves the idle list.
    fn pick_idle(&self, without_load: bool) -> Option<Rc<Seat>> {
        let mut idle = self.idle.borrow_mut();
        let (at, seat) = idle.iter().enumerate().rev().min_by_key(|(_, seat)| seat.load())?;
        let taken = !without_load || seat.load() == 0;
        taken.then(|| idle.remove(at))
    }

    /// The shallowest seat whose request in front has not run for long.
    fn pick_young(&self, exchange: &Exchange) -> Option<Rc<Seat>> {
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|w| &w.seats);
        let room = |seat: &&Rc<Seat>| {
            let room = 1..depth(seat);
            room.contains(&seat.depth()) && seat.open.get() && seat.running_for() < YOUNG
        };
        let seat = seats.filter(room).min_by_key(|seat| seat.depth())?;
        fits(seat, exchange).then(|| Rc::clone(seat))
    }

    /// Takes back what waits behind long requests: it goes back to its place in the
    /// queue, and so to the seat that is free first.
    pub(super) fn unstick(&self) {
        let seats: Vec<_> =
            self.workers.borrow().values().flat_map(|w| &w.seats).map(Rc::clone).collect();
        for seat in seats.iter().filter(|seat| seat.running_for() >= YOUNG) {
            while seat.depth() > 1 {
                let Some(exchange) = seat.take_back() else { break };
                self.queue_again(exchange);
            }
        }
        self.spread();
    }

    /// Back to the queue with it, before all that have come after it.
    pub(super) fn queue_again(&self, exchange: Rc<Exchange>) {
        let mut queue = self.queue.borrow_mut();
        let at = queue.partition_point(|other| other.ticket() < exchange.ticket());
        queue.insert(at, exchange);
    }

    pub(super) fn stage(&self, seat: &Rc<Seat>, exchange: Rc<Exchange>) {
        if let Some(tally) = exchange.tally()
            && let Some(seated) = self.seated(seat)
        {
            tally.sit(seated);
        }
        match seat.stage(Rc::clone(&exchange)) {
            Ok(true) => self.to_wake.borrow_mut().push(Rc::clone(seat)),
            Ok(false) => {}
            Err(error) => {
                let (app, request) = (self.name.as_deref(), exchange.describe());
                error!(app, %error, request, id = exchange.id(), "request can't be handed over");
                exchange.refuse(Refusal::not_handed_over(&error));
            }
        }
    }
}

/// How many requests this seat may have. Behind a long request nothing is staged, and
/// where one was long, the next one probably is: what is behind it would be overtaken
/// by what came later and stands in front elsewhere. In solo mode there is no elsewhere.
fn depth(seat: &Seat) -> usize {
    if seat.last_ran() < YOUNG || solo::is_here() { DEPTH } else { 1 }
}

/// Whether the request may stand where the seat has room.
fn fits(seat: &Seat, exchange: &Exchange) -> bool {
    let Some(request) = &exchange.request else { return true };
    seat.depth() == 0 || request.is_small()
}
