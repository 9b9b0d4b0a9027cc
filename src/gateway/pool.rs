//! The app's workers and the one queue in front of them.
//!
//! Every app thread is a [`Seat`]. A request goes to an idle seat, else it is
//! staged behind a young one, so that its thread goes on without a wake-up, else
//! it waits in the queue, in order; a full queue refuses. A seat that falls idle
//! takes what is staged behind others before it would sleep.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use flupd_channel::gateway::{Memory, Size, size};
use flupd_channel::worker::Pump;
use flupd_channel::{ChannelError, Outcome};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, info, warn};

use super::exchange::{Exchange, Place, Pumped};
use super::park;
use super::refusal::Refusal;
use super::seat::Seat;
use crate::control::FromGateway;

/// How many requests a seat has at most, the running one included.
const DEPTH: usize = 8;

/// Nothing is staged behind a request that has been running for longer.
const YOUNG: Duration = Duration::from_micros(500);

/// After so many changes the wake-ups go out although the gateway is busy.
const BATCH: u32 = 32;

/// How long an answer can lie unseen behind which a long request runs.
const PULSE: Duration = Duration::from_millis(1);

/// The workers and the queue.
#[derive(Debug)]
pub(super) struct Pool {
    workers: RefCell<BTreeMap<u64, Worker>>,
    /// Seats without a request, the last used last.
    idle: RefCell<Vec<Rc<Seat>>>,
    queue: RefCell<VecDeque<Rc<Exchange>>>,
    queue_limit: usize,
    health: Cell<Health>,
    to_wake: RefCell<Vec<Rc<Seat>>>,
    changes: Cell<u32>,
    /// Has the gateway look once more soon after it has gone to sleep.
    pulse: Notify,
    supervisor: UnboundedSender<FromGateway>,
}

/// ```text
/// Starting ──a worker is ready──▶ Serving ──the last ready one died──▶ Starting
///    └─────one died unready, none is ready──▶ Failing ──one is ready──▶ Serving
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Requests wait for the first worker.
    Starting,
    Serving,
    /// The app can't be started, as a worker's end or the supervisor says:
    /// requests are refused at once.
    Failing,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    ready: bool,
    memory: Memory,
    seats: Vec<Rc<Seat>>,
    /// The requests that died with it.
    lost: Vec<String>,
}

impl Pool {
    /// An empty pool whose queue holds `queue_limit` requests. `supervisor` is
    /// told of workers that must be ended.
    pub(super) fn new(queue_limit: usize, supervisor: UnboundedSender<FromGateway>) -> Rc<Self> {
        Rc::new(Self {
            workers: RefCell::default(),
            idle: RefCell::default(),
            queue: RefCell::default(),
            queue_limit,
            health: Cell::new(Health::Starting),
            to_wake: RefCell::default(),
            changes: Cell::new(0),
            pulse: Notify::new(),
            supervisor,
        })
    }

    /// Adds a worker that is starting.
    pub(super) fn worker_started(&self, worker: u64, pid: u32, memory: Memory, seats: &[Rc<Seat>]) {
        let entry = Worker { pid, ready: false, memory, seats: seats.to_vec(), lost: Vec::new() };
        self.workers.borrow_mut().insert(worker, entry);
    }

    /// The worker has imported the app: its seats take requests.
    pub(super) fn worker_ready(&self, worker: u64) {
        let seats = match self.workers.borrow_mut().get_mut(&worker) {
            Some(entry) => {
                entry.ready = true;
                entry.seats.clone()
            }
            None => return,
        };
        self.health.set(Health::Serving);
        for seat in seats {
            seat.open.set(true);
            self.idle.borrow_mut().push(Rc::clone(&seat));
            self.refill(&seat);
        }
    }

    /// The worker gets no more requests. What is staged and not begun goes to
    /// others; its threads leave when they are done.
    pub(super) fn drain(&self, worker: u64) {
        let seats = self.workers.borrow().get(&worker).map(|entry| entry.seats.clone());
        for seat in seats.unwrap_or_default() {
            self.retire(&seat);
        }
        self.spread();
    }

    /// No worker gets more requests: the gateway is done.
    pub(super) fn close(&self) {
        let workers: Vec<u64> = self.workers.borrow().keys().copied().collect();
        workers.into_iter().for_each(|worker| self.drain(worker));
    }

    /// No worker will come any more: what waits is refused.
    pub(super) fn give_up(&self, why: &str) {
        self.health.set(Health::Failing);
        for exchange in self.queue.take() {
            exchange.refuse(Refusal::worker_lost(why.to_owned()));
        }
    }

    /// The worker process has ended: what it did not answer is lost.
    pub(super) fn worker_exited(&self, worker: u64, cause: &str, expected: bool) {
        self.worker_lost(worker, cause);
        let Some(entry) = self.workers.borrow_mut().remove(&worker) else { return };
        if !self.workers.borrow().values().any(|entry| entry.ready) {
            self.health.set(if entry.ready { Health::Starting } else { Health::Failing });
        }
        let (pid, requests) = (entry.pid, entry.lost.join(", "));
        if expected && requests.is_empty() {
            info!(worker, pid, cause, "worker left");
        } else {
            error!(worker, pid, cause, requests, "worker died");
        }
        if self.health.get() == Health::Failing {
            self.app_unavailable();
        }
    }

    /// The app can't be started: what waits is refused, and what comes as well,
    /// until a worker is ready.
    pub(super) fn app_unavailable(&self) {
        self.health.set(Health::Failing);
        for exchange in self.queue.take() {
            exchange.refuse(Refusal::app_unavailable());
        }
    }

    /// The worker answers no more: its requests are given to others where that
    /// can do no harm, else refused. What it had answered whole is still taken.
    fn worker_lost(&self, worker: u64, why: &str) {
        self.drain(worker);
        let seats = self.workers.borrow().get(&worker).map(|entry| entry.seats.clone());
        for seat in seats.unwrap_or_default() {
            seat.dead.set(true);
            self.settle(&seat, why);
        }
        self.spread();
    }

    /// The thread of this seat has gone; the others of its worker may go on.
    pub(super) fn seat_gone(&self, seat: &Rc<Seat>) {
        seat.dead.set(true);
        self.retire(seat);
        self.settle(seat, "the worker has gone");
        self.spread();
    }

    /// No more requests for this seat; what it has not begun goes to others.
    fn retire(&self, seat: &Rc<Seat>) {
        seat.open.set(false);
        self.idle.borrow_mut().retain(|idle| !Rc::ptr_eq(idle, seat));
        while let Some(exchange) = seat.take_back() {
            self.queue.borrow_mut().push_front(exchange);
        }
        seat.close();
    }

    /// Settles the requests of a dead seat.
    fn settle(&self, seat: &Rc<Seat>, why: &str) {
        if let Some(front) = seat.front()
            && !front.is_cancelled()
            && seat.has_end()
        {
            // Its connection takes it, and comes here again for the next one.
            return front.news();
        }
        let untouched = seat.is_untouched();
        for (at, exchange) in seat.abandon().into_iter().enumerate().rev() {
            if exchange.is_cancelled() {
                continue;
            }
            if at > 0 || untouched {
                exchange.put(Place::Waiting);
                self.queue.borrow_mut().push_front(exchange);
            } else {
                self.request_lost(seat, exchange, why);
            }
        }
    }

    /// A worker has not answered this request that it had begun: it is given to
    /// another once if that can do no harm, else refused.
    fn request_lost(&self, seat: &Seat, exchange: Rc<Exchange>, why: &str) {
        let repeat =
            !exchange.started() && exchange.is_repeatable() && exchange.attempts.get() == 0;
        let verdict = match (exchange.started(), repeat) {
            (true, _) => "cut",
            (false, true) => "repeated",
            (false, false) => "answered 502",
        };
        if let Some(entry) = self.workers.borrow_mut().get_mut(&seat.worker) {
            entry.lost.push(format!("{} ({verdict})", exchange.describe()));
        }
        if repeat {
            exchange.attempts.set(1);
            exchange.put(Place::Waiting);
            self.queue.borrow_mut().push_front(exchange);
        } else {
            exchange.refuse(Refusal::worker_lost(why.to_owned()));
        }
    }

    /// The worker broke the channel protocol: it must be ended.
    pub(super) fn worker_broken(&self, worker: u64, error: &ChannelError) {
        let reason = error.to_string();
        error!(worker, reason, "worker broken");
        for seat in self.workers.borrow().get(&worker).map_or(&[][..], |w| &w.seats) {
            // Nothing of what it says is believed any more.
            for exchange in seat.abandon().into_iter().filter(|e| !e.is_cancelled()) {
                exchange.refuse(Refusal::worker_lost(reason.clone()));
            }
        }
        self.worker_lost(worker, &reason);
        // The supervisor ends with us if it is gone.
        let _ = self.supervisor.send(FromGateway::WorkerBroken { worker, reason });
    }

    /// Hands in a whole request.
    pub(super) fn submit(&self, exchange: Rc<Exchange>) {
        let refusal = if self.health.get() == Health::Failing {
            Refusal::app_unavailable()
        } else if self.queue.borrow().is_empty() && self.seat(&exchange) {
            return self.changed();
        } else if self.queue.borrow().len() < self.queue_limit {
            return self.queue.borrow_mut().push_back(exchange);
        } else {
            Refusal::queue_full(self.queue_limit)
        };
        warn!(request = exchange.describe(), why = refusal.why, "request refused");
        exchange.refuse(refusal);
    }

    /// Whether other requests wait behind the one in front of this seat. Then
    /// its answer is copied out for a slow client; else it stays in the ring.
    pub(super) fn is_pressed(&self, seat: &Seat) -> bool {
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

    /// The connection of this request has gone, or it was aborted.
    pub(super) fn cancel(&self, exchange: &Rc<Exchange>) {
        exchange.cancel();
        self.queue.borrow_mut().retain(|waiting| !Rc::ptr_eq(waiting, exchange));
        if let Place::Seated(seat) = exchange.place()
            && seat.serves(exchange)
        {
            seat.cancel();
            self.discard(&seat, exchange);
        }
    }

    /// The connection has taken all of this answer. `false` when the app has
    /// asked to exit instead of answering: the request has gone elsewhere.
    pub(super) fn answered(&self, seat: &Rc<Seat>, exchange: &Rc<Exchange>, end: Outcome) -> bool {
        let leaves = end == Outcome::Exit;
        if leaves {
            self.request_lost(seat, Rc::clone(exchange), "the app called sys.exit");
            self.drain(seat.worker);
        } else {
            exchange.put(Place::Over);
        }
        self.freed(seat);
        !leaves
    }

    /// A request has left this seat.
    fn freed(&self, seat: &Rc<Seat>) {
        if seat.open.get() {
            self.refill(seat);
        } else if seat.dead.get() {
            self.settle(seat, "the worker has gone");
            self.spread();
        }
        self.look(seat);
        self.changed();
    }

    /// Gives a seat with room the next requests, or makes it idle.
    fn refill(&self, seat: &Rc<Seat>) {
        while seat.depth() < DEPTH {
            let Some(next) = self.queue.borrow_mut().pop_front() else { break };
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
        free.max_by_key(|seat| seat.running_for())?.take_back()
    }

    /// Gives what is queued to the seats that have room for it.
    fn spread(&self) {
        loop {
            let Some(next) = self.queue.borrow_mut().pop_front() else { return };
            if next.is_cancelled() {
                continue;
            }
            if !self.seat(&next) {
                return self.queue.borrow_mut().push_front(next);
            }
        }
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
            let depth = seat.depth();
            (1..DEPTH).contains(&depth) && seat.open.get() && seat.running_for() < YOUNG
        };
        let seat = seats.filter(room).min_by_key(|seat| seat.depth())?;
        fits(seat, exchange).then(|| Rc::clone(seat))
    }

    /// Takes back what waits behind long requests: it goes to the front of the
    /// queue, and so to the seat that is free first.
    fn unstick(&self) {
        let seats: Vec<_> =
            self.workers.borrow().values().flat_map(|w| &w.seats).map(Rc::clone).collect();
        for seat in seats.iter().filter(|seat| seat.running_for() >= YOUNG) {
            while seat.depth() > 1 {
                let Some(exchange) = seat.take_back() else { break };
                self.queue.borrow_mut().push_front(exchange);
            }
        }
        self.spread();
    }

    fn stage(&self, seat: &Rc<Seat>, exchange: Rc<Exchange>) {
        match seat.stage(Rc::clone(&exchange)) {
            Ok(true) => self.to_wake.borrow_mut().push(Rc::clone(seat)),
            Ok(false) => {}
            Err(error) => {
                error!(%error, request = exchange.describe(), "request can't be handed over");
                exchange.refuse(Refusal::not_handed_over(&error));
            }
        }
    }

    /// There may be something in the ring of this seat; `true` if a connection
    /// has been told.
    fn look(&self, seat: &Rc<Seat>) -> bool {
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

    fn discard(&self, seat: &Rc<Seat>, unwanted: &Rc<Exchange>) {
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
        for seat in self.to_wake.take() {
            seat.wake();
        }
    }

    /// Lets the connections look that have something to take; `true` if there is
    /// one.
    pub(super) fn scan(&self) -> bool {
        let mut with_news = Vec::new();
        for worker in self.workers.borrow().values() {
            worker.memory.news(|thread| with_news.extend(worker.seats.get(thread).cloned()));
        }
        with_news.iter().fold(false, |told, seat| self.look(seat) | told)
    }

    /// A gateway that is never idle still has to wake and to look.
    fn changed(&self) {
        let changes = self.changes.get() + 1;
        self.changes.set(changes);
        if changes >= BATCH {
            park::forget_time();
            self.wake();
            self.scan();
        }
    }

    /// The gateway is about to sleep: has the workers ring from now on, looks at
    /// what came before, and wakes the threads that have got something. News
    /// keeps the gateway awake, for it makes connections runnable.
    pub(super) fn before_sleep(&self) {
        let mut news = false;
        for worker in self.workers.borrow().values() {
            news |= worker.memory.about_to_sleep();
        }
        if news {
            self.scan();
        }
        self.wake();
        let waits = |seat: &Rc<Seat>| seat.depth() > 1 || seat.blocked.get();
        if self.workers.borrow().values().any(|w| w.seats.iter().any(waits)) {
            self.pulse.notify_one();
        }
    }

    /// Looks at least once in each [`PULSE`] while requests are staged behind
    /// others: their worker may have answered one and not said so yet, or the one
    /// in front may turn out to be long.
    pub(super) async fn pulse(self: Rc<Self>) {
        loop {
            self.pulse.notified().await;
            tokio::time::sleep(PULSE).await;
            self.unstick();
            self.press();
        }
    }

    /// The gateway is awake again.
    pub(super) fn after_sleep(&self) {
        for worker in self.workers.borrow().values() {
            worker.memory.awake();
        }
        self.scan();
    }

    /// The app runs on this very thread and wants its answer sent, or room in its
    /// ring. Room comes at the latest when the client has not taken anything for
    /// the time it may.
    pub(super) fn pump(&self, worker: u64, what: Pump) {
        let seat = self.workers.borrow().get(&worker).and_then(|w| w.seats.first().cloned());
        let Some(seat) = seat else { return };
        // Answers of requests that ran before this one stand before its own.
        while let Some(front) = seat.front() {
            if !front.is_cancelled() {
                match front.pump(what == Pump::Room) {
                    Ok(Pumped::End) => continue,
                    Ok(Pumped::Part) => return,
                    Err(_) => {
                        front.cancel();
                        seat.cancel();
                    }
                }
            }
            self.discard(&seat, &front);
            if seat.serves(&front) {
                return;
            }
        }
    }

    /// Whether all threads of a worker have gone while its process has not.
    pub(super) fn is_lingering(&self, worker: u64) -> bool {
        let workers = self.workers.borrow();
        workers.get(&worker).is_some_and(|entry| entry.seats.iter().all(|seat| seat.dead.get()))
    }
}

/// Whether the request may stand where the seat has room.
fn fits(seat: &Seat, exchange: &Exchange) -> bool {
    let Some(request) = &exchange.request else { return true };
    seat.depth() == 0 || size(&request.params, &request.body) == Size::Small
}
