//! The app's workers and the one queue in front of them.
//!
//! Every app thread is a [`Seat`]. Here stands what comes and goes. [`losses`] tells what
//! becomes of requests when a worker is lost, [`staging`] decides who gets one,
//! [`turns`] what is done between two sleeps of the gateway.

mod compare;
mod demand;
mod limits;
mod losses;
mod proof;
mod staging;
mod told;
mod turns;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::gateway::Memory;
use flupd_channel::probe::Probe;
use flupd_channel::{ChannelError, Outcome};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::demand::Meter;
pub(super) use self::limits::AGAIN;
use super::canary::Count;
use super::exchange::{Exchange, Place};
use super::recorder::Recorder;
use super::refusal::Refusal;
use super::repeats::Repeats;
use super::seat::Seat;
use super::seldom::Seldom;
use super::solo;
use crate::config::{AppLimits, GroupId, PerWorker};
use crate::control::FromGateway;
use crate::observe::access::Seated;
use crate::observe::metrics::{AppMetrics, Ending, Generation, Stand};

/// How long a worker whose ports are closed may take to end its process.
const FAREWELL: Duration = Duration::from_secs(10);

/// The workers and the queue.
#[derive(Debug)]
pub(in crate::gateway) struct Pool {
    id: GroupId,
    /// What the log calls the app, where there can be several.
    name: Option<Rc<str>>,
    workers: RefCell<BTreeMap<u64, Worker>>,
    /// Seats without a request, the last used last.
    idle: RefCell<Vec<Rc<Seat>>>,
    queue: RefCell<VecDeque<Rc<Exchange>>>,
    limits: Cell<AppLimits>,
    /// The limits are others now, or nobody needs them any more.
    relimited: Notify,
    health: Cell<Health>,
    /// Why the app can never be started, for the web server's log.
    never: RefCell<Option<Rc<str>>>,
    to_wake: RefCell<Vec<Rc<Seat>>>,
    /// Memory for [`Pool::scan`].
    with_news: RefCell<Vec<Rc<Seat>>>,
    changes: Cell<u32>,
    /// Has the gateway look once more soon after it has gone to sleep.
    pulse: Notify,
    /// Refusals are logged seldom.
    refused: Seldom,
    /// What the app's bridge has to say of requests.
    said: Rc<Repeats>,
    supervisor: UnboundedSender<FromGateway>,
    /// Who has taken over, once that is so.
    successor: RefCell<Option<Rc<Self>>>,
    /// Nobody will work here any more.
    deserted: Cell<bool>,
    pub(in crate::gateway) metrics: Arc<AppMetrics>,
    /// Where it tells how it stands.
    standing: Arc<Generation>,
    /// How it does, while it is compared with another generation.
    counted: RefCell<Option<Count>>,
    stand: Cell<Stand>,
    meter: Meter,
}

/// ```text
/// Starting ──a worker is ready──▶ Serving ──the last ready one died──▶ Starting
///    └─────one died unready, none is ready──▶ Failing ──one is ready──▶ Serving
/// Asleep, from any, when the supervisor says so ──────one is ready──▶ Serving
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Requests wait for the first worker.
    Starting,
    Serving,
    /// The app can't be started, as a worker's end or the supervisor says:
    /// requests are refused at once.
    Failing,
    /// No worker is needed: requests wait for the one that is started for them.
    Asleep,
}

#[derive(Debug)]
struct Worker {
    pid: u32,
    /// When it was started.
    begun: Instant,
    ready: bool,
    memory: Memory,
    seats: Vec<Rc<Seat>>,
    /// The requests that died with it.
    lost: Vec<String>,
    /// Those that it has answered before.
    recorder: Option<Rc<RefCell<Recorder>>>,
    /// A request in it does not end: it is to be replaced.
    worn: bool,
    /// Nothing that it does will end: it is about to be killed.
    spent: bool,
    /// How many requests it has run, while that is limited.
    served: u64,
}

impl Pool {
    /// An empty pool of this generation of an app. `supervisor` is told of workers
    /// that must be ended or replaced.
    pub(in crate::gateway) fn new(
        id: GroupId,
        name: Option<String>,
        limits: AppLimits,
        supervisor: UnboundedSender<FromGateway>,
        metrics: Arc<AppMetrics>,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            name: name.map(Rc::from),
            workers: RefCell::default(),
            idle: RefCell::default(),
            queue: RefCell::default(),
            limits: Cell::new(limits),
            relimited: Notify::new(),
            health: Cell::new(Health::Starting),
            never: RefCell::default(),
            to_wake: RefCell::default(),
            with_news: RefCell::default(),
            changes: Cell::new(0),
            pulse: Notify::new(),
            refused: Seldom::default(),
            said: Rc::default(),
            supervisor,
            successor: RefCell::default(),
            deserted: Cell::new(false),
            standing: metrics.generation(id.generation),
            metrics,
            counted: RefCell::default(),
            stand: Cell::default(),
            meter: Meter::default(),
        })
    }

    /// Takes on a worker that is starting; `fds` are our ends of its channel.
    pub(in crate::gateway) fn employ(
        self: &Rc<Self>,
        worker: u64,
        pid: u32,
        fds: Vec<OwnedFd>,
        probe: Option<Probe>,
    ) {
        let (memory, ports) = match flupd_channel::gateway::open(fds) {
            Ok(opened) => opened,
            Err(error) => return self.worker_broken(worker, &error.into()),
        };
        let probe = probe.map(Rc::new);
        let recorder = (!solo::is_here()).then(Rc::<RefCell<Recorder>>::default);
        let load = Rc::new(Cell::new(0));
        let mut seats = Vec::new();
        for (thread, mut port) in ports.into_iter().enumerate() {
            port.watched = solo::is_watched();
            let (pool, gone) = (Rc::clone(self), port.gone());
            let seat = Seat::new(
                (worker, pid, thread),
                (self.name.clone(), Rc::clone(&self.said)),
                port,
                Rc::clone(&load),
                probe.clone(),
                recorder.clone(),
            );
            seats.push(Rc::clone(&seat));
            tokio::task::spawn_local(async move {
                gone.await;
                pool.seat_gone(&seat);
                drop(seat);
                tokio::time::sleep(FAREWELL).await;
                if pool.is_lingering(worker) {
                    let rule = "it closed its ports and does not exit";
                    pool.worker_broken(worker, &ChannelError::Broken(rule));
                }
            });
        }
        self.metrics.worker_started(worker, pid, memory.waits());
        let entry = Worker {
            pid,
            begun: Instant::now(),
            ready: false,
            memory,
            seats,
            lost: Vec::new(),
            recorder,
            worn: false,
            spent: false,
            served: 0,
        };
        self.workers.borrow_mut().insert(worker, entry);
    }

    /// What the log calls the app, where there can be several.
    pub(in crate::gateway) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Which generation of the app it is.
    pub(in crate::gateway) const fn generation(&self) -> u64 {
        self.id.generation
    }

    /// Which seat this is, for the access log.
    fn seated(&self, seat: &Rc<Seat>) -> Option<Seated> {
        let workers = self.workers.borrow();
        let Worker { pid, seats, .. } = workers.get(&seat.worker)?;
        let at = seats.iter().position(|other| Rc::ptr_eq(other, seat))?;
        Some(Seated { worker: seat.worker, pid: *pid, thread: at + 1 })
    }

    /// The worker has imported the app: its seats take requests.
    pub(in crate::gateway) fn worker_ready(&self, worker: u64) {
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
    pub(in crate::gateway) fn drain(&self, worker: u64) {
        let seats = self.workers.borrow().get(&worker).map(|entry| entry.seats.clone());
        for seat in seats.unwrap_or_default() {
            self.retire(&seat);
        }
        self.spread();
    }

    /// How many requests may wait, and how long all may take.
    pub(in crate::gateway) fn set_limits(&self, limits: AppLimits) {
        self.limits.set(limits);
        self.relimited.notify_one();
    }

    /// Another pool has the app from now on: it gets what is not begun, and the
    /// workers leave when they are done with the rest.
    pub(in crate::gateway) fn hand_over(&self, successor: &Rc<Self>) {
        self.successor.replace(Some(Rc::clone(successor)));
        self.meter.stop();
        self.close();
        self.spread();
    }

    /// Whether no request waits.
    pub(in crate::gateway) fn is_idle(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Whether nobody works here, or is about to.
    pub(in crate::gateway) fn is_deserted(&self) -> bool {
        self.workers.borrow().is_empty()
    }

    /// Ends a pool in which nobody works any more; `false` if somebody does.
    pub(in crate::gateway) fn is_over(&self) -> bool {
        let over = self.workers.borrow().is_empty();
        if over {
            self.metrics.generation_over(self.id.generation);
            self.deserted.set(true);
            self.pulse.notify_one();
            self.relimited.notify_one();
            self.meter.wake();
        }
        over
    }

    /// No worker gets more requests: the gateway is done.
    pub(in crate::gateway) fn close(&self) {
        let workers: Vec<u64> = self.workers.borrow().keys().copied().collect();
        workers.into_iter().for_each(|worker| self.drain(worker));
    }

    /// No worker will come any more: what waits is refused.
    pub(in crate::gateway) fn give_up(&self, why: &str) {
        self.health.set(Health::Failing);
        for exchange in self.queue.take() {
            exchange.refuse(Refusal::worker_lost(why.to_owned()));
        }
    }

    /// The connection of this request has gone, or it was aborted.
    pub(in crate::gateway) fn cancel(&self, exchange: &Rc<Exchange>) {
        exchange.cancel();
        exchange.settle(Ending::Cancelled);
        self.queue.borrow_mut().retain(|waiting| !Rc::ptr_eq(waiting, exchange));
        if let Place::Seated(seat) = exchange.place() {
            seat.cancel(exchange);
            if seat.serves(exchange) {
                self.discard(&seat, exchange);
            }
        }
    }

    /// The connection has taken all of this answer. `false` when the app has
    /// asked to exit instead of answering: the request has gone elsewhere.
    pub(in crate::gateway) fn answered(
        &self,
        seat: &Rc<Seat>,
        exchange: &Rc<Exchange>,
        end: Outcome,
    ) -> bool {
        let leaves = end == Outcome::Exit;
        if leaves {
            self.request_lost(seat, Rc::clone(exchange), None, "the app called sys.exit");
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
        if let Some(per_worker) = self.limits.get().per_worker {
            self.served(seat.worker, per_worker);
        }
    }

    /// A request of this worker has ended: has it replaced after so many.
    fn served(&self, worker: u64, per_worker: PerWorker) {
        let mut workers = self.workers.borrow_mut();
        let Some(entry) = workers.get_mut(&worker) else { return };
        entry.served = entry.served.saturating_add(1);
        // It is said once.
        if entry.served == per_worker.of(worker) {
            let _ = self.supervisor.send(FromGateway::WorkerServed { group: self.id, worker });
        }
    }

    /// Whether all threads of a worker have gone while its process has not.
    pub(in crate::gateway) fn is_lingering(&self, worker: u64) -> bool {
        let workers = self.workers.borrow();
        workers.get(&worker).is_some_and(|entry| entry.seats.iter().all(|seat| seat.dead.get()))
    }
}
