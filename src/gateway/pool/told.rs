//! What the pool does at this moment, for those who ask.

use std::rc::Rc;
use std::time::Duration;

use super::{Health, Pool, Worker};
use crate::gateway::exchange::Exchange;
use crate::gateway::seat::Seat;
use crate::observe::process::Usage;
use crate::observe::snapshot::{AppSnapshot, RequestSnapshot, WorkerSnapshot, WorkerState};

/// A request at its app thread.
pub(in crate::gateway) struct Running {
    seat: Rc<Seat>,
    exchange: Rc<Exchange>,
    age: Duration,
}

impl Pool {
    /// The workers and the queue.
    pub(in crate::gateway) fn snapshot(&self) -> AppSnapshot {
        let workers = self.workers.borrow();
        let queue = self.queue.borrow();
        let oldest = queue.iter().map(|waiting| waiting.waits_since().elapsed()).max();
        AppSnapshot {
            app: self.name.as_deref().map(str::to_owned),
            generation: self.id.generation,
            waiting: queue.len(),
            waiting_ms: millis(oldest.unwrap_or_default()),
            draining: self.successor.borrow().is_some(),
            workers_min: self.meter.workers().min,
            workers_max: self.meter.workers().max,
            asleep: self.health.get() == Health::Asleep && workers.is_empty(),
            workers: workers.iter().map(|(number, worker)| worker.told(*number)).collect(),
            totals: self.metrics.totals(),
        }
    }

    /// The requests that app threads have, each the first of its thread.
    pub(in crate::gateway) fn running(&self) -> Vec<Running> {
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|worker| &worker.seats);
        let running = seats.filter_map(|seat| {
            let (exchange, since) = (seat.front()?, seat.since()?);
            Some(Running { seat: Rc::clone(seat), exchange, age: since.elapsed() })
        });
        running.collect()
    }

    /// Requests that wait for an app thread, or behind another at one: so many, the
    /// oldest of each kind.
    pub(in crate::gateway) fn waiting(&self, most: usize) -> Vec<RequestSnapshot> {
        let name = self.name.as_deref();
        let queue = self.queue.borrow();
        let queued = queue.iter().take(most).map(|exchange| exchange.told(name, "queued"));
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|worker| &worker.seats);
        let behind = seats.flat_map(|seat| seat.behind().into_iter().map(move |one| (seat, one)));
        let staged = behind.take(most).map(|(seat, exchange)| RequestSnapshot {
            worker: Some(seat.worker),
            pid: Some(seat.pid),
            thread: Some(seat.thread() + 1),
            ..exchange.told(name, "staged")
        });
        queued.chain(staged).collect()
    }

    /// How many wait for an app thread.
    pub(in crate::gateway) fn count_queued(&self) -> usize {
        self.queue.borrow().len()
    }

    /// How many of them there are, those behind another included.
    pub(in crate::gateway) fn count_waiting(&self) -> usize {
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|worker| &worker.seats);
        let behind = seats.map(|seat| seat.depth().saturating_sub(1));
        behind.sum::<usize>() + self.queue.borrow().len()
    }
}

impl Worker {
    fn told(&self, worker: u64) -> WorkerSnapshot {
        let usage = Usage::of(self.pid);
        let state = match self.ready {
            false => WorkerState::Starting,
            true if self.worn => WorkerState::Stuck,
            true if self.seats.iter().any(|seat| seat.open.get()) => WorkerState::Ready,
            true => WorkerState::Leaving,
        };
        WorkerSnapshot {
            worker,
            pid: self.pid,
            state,
            threads: self.seats.len(),
            busy: self.seats.iter().filter(|seat| seat.depth() > 0).count(),
            served: self.recorder.as_ref().map_or(0, |recorder| recorder.borrow().served()),
            age_ms: millis(self.begun.elapsed()),
            memory: usage.map(|usage| usage.memory),
            cpu_ms: usage.map(|usage| millis(usage.cpu)),
        }
    }
}

impl Exchange {
    /// What is known of it while it waits.
    fn told(&self, app: Option<&str>, phase: &str) -> RequestSnapshot {
        RequestSnapshot {
            app: app.map(str::to_owned),
            phase: phase.to_owned(),
            age_ms: millis(self.waits_since().elapsed()),
            ..self.request.as_ref().map(|request| request.told()).unwrap_or_default()
        }
    }
}

impl Running {
    /// Its number, as its app thread counts.
    pub(in crate::gateway) fn number(&self) -> u32 {
        self.seat.number()
    }

    /// For people.
    pub(in crate::gateway) fn describe(&self) -> String {
        self.exchange.describe()
    }

    /// The trace that it belongs to.
    pub(in crate::gateway) fn trace(&self) -> Option<String> {
        self.exchange.trace()
    }

    /// For how long the thread has had it.
    pub(in crate::gateway) const fn age(&self) -> Duration {
        self.age
    }

    /// What is known of it; with its frames if they are wanted and the thread says
    /// them within `patience`.
    pub(in crate::gateway) async fn told(&self, patience: Option<Duration>) -> RequestSnapshot {
        let Self { seat, exchange, age } = self;
        let phase = seat.phase().to_string();
        let cpu = seat.cpu();
        let frames = match (patience, seat.probe()) {
            (None, _) => None,
            (Some(_), None) => Some(vec!["not known: this worker can't be asked".to_owned()]),
            (Some(patience), Some(probe)) => {
                let told = probe.frames(seat.thread(), patience).await;
                Some(match told {
                    _ if !seat.serves(exchange) => vec!["it has ended meanwhile".to_owned()],
                    Ok(frames) => frames.iter().rev().map(ToString::to_string).collect(),
                    Err(error) => vec![format!("not known: {error}")],
                })
            }
        };
        RequestSnapshot {
            worker: Some(seat.worker),
            pid: Some(seat.pid),
            thread: Some(seat.thread() + 1),
            age_ms: millis(*age),
            waited_ms: exchange.waited().map(millis),
            cpu_ms: cpu.map(millis),
            frames,
            ..exchange.told(seat.app(), &phase)
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
