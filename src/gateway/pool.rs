//! The app's workers and the one queue in front of them.
//!
//! Every app thread is a [`Seat`]. A request goes to an idle seat at once, else
//! into the queue, in order; a full queue refuses. The pool also knows which
//! requests a worker had inside when it died.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::exchange::Exchange;
use super::refusal::Refusal;

/// One app thread, as the pool sees it.
#[derive(Debug)]
pub(super) struct Seat {
    /// The number of its worker.
    pub(super) worker: u64,
    next: RefCell<Option<Rc<Exchange>>>,
    wake: Notify,
    leaving: Cell<bool>,
    exited: Notify,
}

impl Seat {
    /// Waits until the supervisor says that the worker process has ended. Its
    /// socket need not say so: a child the app forked may hold it open.
    pub(super) async fn worker_exited(&self) {
        self.exited.notified().await;
    }
}

/// The workers and the queue.
#[derive(Debug)]
pub(super) struct Pool {
    state: RefCell<State>,
    queue_limit: usize,
}

#[derive(Debug)]
struct State {
    workers: BTreeMap<u64, Worker>,
    /// Seats without a request, the last used last.
    idle: Vec<Rc<Seat>>,
    queue: VecDeque<Rc<Exchange>>,
    health: Health,
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
    /// The app can't be started: requests are refused at once.
    Failing,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    ready: bool,
    leaving: bool,
    seats: Vec<Rc<Seat>>,
    busy: usize,
    /// Seats whose link still runs.
    open: usize,
    exit: Option<(String, bool)>,
    /// The requests that died with it.
    lost: Vec<String>,
}

impl Pool {
    /// An empty pool whose queue holds `queue_limit` requests.
    pub(super) fn new(queue_limit: usize) -> Rc<Self> {
        let state = State {
            workers: BTreeMap::new(),
            idle: Vec::new(),
            queue: VecDeque::new(),
            health: Health::Starting,
        };
        Rc::new(Self { state: RefCell::new(state), queue_limit })
    }

    /// Adds a worker that is starting, and returns its seats.
    pub(super) fn worker_started(&self, worker: u64, pid: u32, threads: usize) -> Vec<Rc<Seat>> {
        let seat = |_| {
            Rc::new(Seat {
                worker,
                next: RefCell::default(),
                wake: Notify::new(),
                leaving: Cell::new(false),
                exited: Notify::new(),
            })
        };
        let seats: Vec<_> = (0..threads).map(seat).collect();
        let entry = Worker {
            pid,
            ready: false,
            leaving: false,
            seats: seats.clone(),
            busy: 0,
            open: threads,
            exit: None,
            lost: Vec::new(),
        };
        self.state.borrow_mut().workers.insert(worker, entry);
        seats
    }

    /// The worker has imported the app: its seats take requests.
    pub(super) fn worker_ready(&self, worker: u64) {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.workers.get_mut(&worker) else { return };
        entry.ready = true;
        entry.seats.iter().for_each(|seat| seat.wake.notify_one());
        state.health = Health::Serving;
    }

    /// The worker gets no more requests; its links end when they are done.
    pub(super) fn drain(&self, worker: u64) {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.workers.get_mut(&worker) else { return };
        entry.leaving = true;
        for seat in &entry.seats {
            seat.leaving.set(true);
            seat.wake.notify_one();
        }
        state.idle.retain(|seat| seat.worker != worker);
    }

    /// The worker process has ended.
    pub(super) fn worker_exited(&self, worker: u64, cause: String, expected: bool) {
        self.drain(worker);
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.workers.get_mut(&worker) else { return };
        let was_ready = std::mem::replace(&mut entry.ready, false);
        entry.exit = Some((cause, expected));
        entry.seats.iter().for_each(|seat| seat.exited.notify_one());
        if !state.workers.values().any(|entry| entry.ready) && !expected {
            state.health = if was_ready { Health::Starting } else { Health::Failing };
        }
        let refused = match state.health {
            Health::Failing => std::mem::take(&mut state.queue),
            _ => VecDeque::new(),
        };
        state.bury(worker);
        drop(state);
        for exchange in refused {
            exchange.refuse(&Refusal::app_unavailable());
        }
    }

    /// Hands a request to an idle seat, else queues it, else refuses it.
    pub(super) fn submit(&self, exchange: Rc<Exchange>) {
        let mut state = self.state.borrow_mut();
        let refusal = if state.health == Health::Failing {
            Refusal::app_unavailable()
        } else if let Some(seat) = state.pick() {
            state.assign(&seat, exchange);
            return;
        } else if state.queue.len() < self.queue_limit {
            state.queue.push_back(exchange);
            return;
        } else {
            Refusal::queue_full(self.queue_limit)
        };
        drop(state);
        warn!(request = exchange.describe(), why = refusal.why, "request refused");
        exchange.refuse(&refusal);
    }

    /// Takes a cancelled request out of the queue.
    pub(super) fn forget(&self, exchange: &Rc<Exchange>) {
        self.state.borrow_mut().queue.retain(|waiting| !Rc::ptr_eq(waiting, exchange));
    }

    /// Waits for the next request of a seat; `None` when it is to leave. May be
    /// dropped while it waits: [`Pool::seat_closed`] saves what was assigned.
    pub(super) async fn next(&self, seat: &Rc<Seat>) -> Option<Rc<Exchange>> {
        loop {
            if let Some(exchange) = seat.next.take() {
                return Some(exchange);
            }
            if seat.leaving.get() {
                return None;
            }
            if let Some(exchange) = self.state.borrow_mut().take_queued(seat) {
                return Some(exchange);
            }
            seat.wake.notified().await;
        }
    }

    /// The seat has finished its request.
    pub(super) fn done(&self, seat: &Seat) {
        if let Some(entry) = self.state.borrow_mut().workers.get_mut(&seat.worker) {
            entry.busy = entry.busy.saturating_sub(1);
        }
    }

    /// The seat's worker died, or left, with this request inside. It is given
    /// to another worker once if that can do no harm, else refused.
    pub(super) fn lost(&self, seat: &Seat, exchange: Rc<Exchange>, why: &str) {
        self.done(seat);
        let repeatable = exchange.request.as_ref().is_some_and(|request| request.is_repeatable());
        let verdict = if exchange.is_cancelled() {
            "cancelled"
        } else if exchange.started() {
            "cut"
        } else if repeatable && exchange.attempts.get() == 0 {
            "repeated"
        } else {
            "answered 502"
        };
        if let Some(entry) = self.state.borrow_mut().workers.get_mut(&seat.worker) {
            entry.lost.push(format!("{} ({verdict})", exchange.describe()));
        }
        if verdict == "repeated" {
            exchange.attempts.set(1);
            self.give_back(exchange);
        } else {
            exchange.refuse(&Refusal::worker_lost(why.to_owned()));
        }
    }

    /// The seat's link has ended. A request that was never sent goes to another.
    pub(super) fn seat_closed(&self, seat: &Rc<Seat>) {
        if let Some(exchange) = seat.next.take() {
            self.done(seat);
            self.give_back(exchange);
        }
        let mut state = self.state.borrow_mut();
        state.idle.retain(|idle| !Rc::ptr_eq(idle, seat));
        if let Some(entry) = state.workers.get_mut(&seat.worker) {
            entry.open -= 1;
            // One thread has gone without a word: the others will, too.
            entry.leaving = true;
        }
        state.bury(seat.worker);
    }

    /// Whether all links of the worker have ended while its process has not.
    pub(super) fn is_lingering(&self, worker: u64) -> bool {
        let state = self.state.borrow();
        state.workers.get(&worker).is_some_and(|entry| entry.open == 0 && entry.exit.is_none())
    }

    /// In front of the queue: it has waited its turn already.
    pub(super) fn give_back(&self, exchange: Rc<Exchange>) {
        let mut state = self.state.borrow_mut();
        if let Some(seat) = state.pick() {
            state.assign(&seat, exchange);
        } else if state.health == Health::Failing {
            drop(state);
            exchange.refuse(&Refusal::app_unavailable());
        } else {
            state.queue.push_front(exchange);
        }
    }
}

impl State {
    /// An idle seat, of the worker with the fewest requests inside; the last
    /// used of those, whose caches are warm. It leaves the idle list.
    fn pick(&mut self) -> Option<Rc<Seat>> {
        let busy = |seat: &Seat| self.workers.get(&seat.worker).map_or(usize::MAX, |w| w.busy);
        let (at, _) = self.idle.iter().enumerate().rev().min_by_key(|(_, seat)| busy(seat))?;
        Some(self.idle.remove(at))
    }

    fn assign(&mut self, seat: &Seat, exchange: Rc<Exchange>) {
        if let Some(entry) = self.workers.get_mut(&seat.worker) {
            entry.busy += 1;
        }
        seat.next.replace(Some(exchange));
        seat.wake.notify_one();
    }

    /// What waits longest, for a seat that is free; else the seat becomes idle.
    fn take_queued(&mut self, seat: &Rc<Seat>) -> Option<Rc<Exchange>> {
        let entry = self.workers.get_mut(&seat.worker).filter(|w| w.ready && !w.leaving)?;
        if let Some(exchange) = self.queue.pop_front() {
            entry.busy += 1;
            return Some(exchange);
        }
        if !self.idle.iter().any(|idle| Rc::ptr_eq(idle, seat)) {
            self.idle.push(Rc::clone(seat));
        }
        None
    }

    /// Removes a worker once its process and all its links have ended, and says
    /// what was lost with it.
    fn bury(&mut self, worker: u64) {
        let over = |entry: &Worker| entry.open == 0 && entry.exit.is_some();
        if !self.workers.get(&worker).is_some_and(over) {
            return;
        }
        let Some(Worker { pid, lost, exit: Some((cause, expected)), .. }) =
            self.workers.remove(&worker)
        else {
            return;
        };
        if expected && lost.is_empty() {
            info!(worker, pid, cause, "worker left");
        } else {
            let requests = lost.join(", ");
            error!(worker, pid, cause, requests, "worker died");
        }
    }
}
