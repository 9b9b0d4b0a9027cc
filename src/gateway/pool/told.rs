//! What the pool does at this moment, for those who ask.

use std::rc::Rc;
use std::time::Duration;

use super::Pool;
use crate::gateway::exchange::Exchange;
use crate::gateway::seat::Seat;
use crate::observe::snapshot::{AppSnapshot, MAX_LINE, RunningRequest, WorkerSnapshot};

/// A request at its app thread.
pub(in crate::gateway) struct Running {
    seat: Rc<Seat>,
    exchange: Rc<Exchange>,
    pid: u32,
    age: Duration,
}

impl Pool {
    /// The workers and the queue.
    pub(in crate::gateway) fn snapshot(&self) -> AppSnapshot {
        let workers = self.workers.borrow();
        let told = workers.iter().map(|(number, worker)| WorkerSnapshot {
            worker: *number,
            pid: worker.pid,
            ready: worker.ready,
            threads: worker.seats.len(),
            busy: worker.seats.iter().filter(|seat| seat.depth() > 0).count(),
        });
        let queue = self.queue.borrow();
        let oldest = queue.iter().map(|waiting| waiting.waits_since().elapsed()).max();
        AppSnapshot {
            app: self.name.as_deref().map(str::to_owned),
            generation: self.id.generation,
            waiting: queue.len(),
            waiting_ms: millis(oldest.unwrap_or_default()),
            workers: told.collect(),
        }
    }

    /// The requests that app threads have.
    pub(in crate::gateway) fn running(&self) -> Vec<Running> {
        let workers = self.workers.borrow();
        let seats = workers.values().flat_map(|w| w.seats.iter().map(|seat| (w.pid, seat)));
        let running = seats.filter_map(|(pid, seat)| {
            let (exchange, since) = (seat.front()?, seat.since()?);
            Some(Running { seat: Rc::clone(seat), exchange, pid, age: since.elapsed() })
        });
        running.collect()
    }
}

impl Running {
    /// For how long the thread has had it.
    pub(in crate::gateway) const fn age(&self) -> Duration {
        self.age
    }

    /// What is known of it; with its frames if they are wanted and the thread says
    /// them within `patience`.
    pub(in crate::gateway) async fn told(&self, patience: Option<Duration>) -> RunningRequest {
        let Self { seat, exchange, pid, age } = self;
        let phase = seat.phase().to_string();
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
        let mut request = exchange.describe();
        request.truncate(request.floor_char_boundary(MAX_LINE));
        RunningRequest {
            app: seat.app().map(str::to_owned),
            worker: seat.worker,
            pid: *pid,
            thread: seat.thread() + 1,
            request,
            age_ms: millis(*age),
            phase,
            frames,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
