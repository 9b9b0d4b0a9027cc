//! Time limits of requests: their wait for an app thread, and the app's work.
//!
//! ```text
//!         --slow-request       --request-timeout              --request-grace
//! Quiet ────────────────▶ Slow ────────────────▶ Limited ────────────────────▶ Stuck
//!                 it is logged     RequestTimeout is       the client gets a 504,
//!                 where it is      raised in the app       the worker is replaced
//! ```
//!
//! No request has a timer of its own: one task looks when the oldest may be due.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use super::Pool;
use crate::config::TimeLimits;
use crate::control::FromGateway;
use crate::gateway::exchange::Exchange;
use crate::gateway::refusal::Refusal;
use crate::gateway::seat::{Seat, Step};
use flupd_channel::Phase;

/// How long a thread may take to say where it is. It takes less than a millisecond,
/// but on a machine that is overloaded.
const ANSWER: Duration = Duration::from_secs(1);

/// How soon the app is told again that a request has had its time: a signal that comes
/// while another one's handler returns ends no system call.
pub(in crate::gateway) const AGAIN: Duration = Duration::from_millis(100);

/// How soon something is looked at again that can't be foreseen.
const SOON: Duration = Duration::from_millis(50);

impl Pool {
    /// Sees to it that the limits are kept, until nobody works here any more.
    pub(in crate::gateway) async fn watch(self: Rc<Self>) {
        while !self.deserted.get() {
            let limits = self.limits.get().time;
            let limits = [limits.queue, limits.slow, limits.request];
            let Some(shortest) = limits.into_iter().flatten().min() else {
                self.relimited.notified().await;
                continue;
            };
            let now = Instant::now();
            // Whatever begins from here on is not due before that.
            let next = [Some(now + shortest), self.expire(now), self.overdue(now), self.spent()];
            let next = next.into_iter().flatten().min().unwrap_or(now);
            // Others are looked at when these are due, or as soon as they are set.
            let _ = timeout_at(next, self.relimited.notified()).await;
        }
    }

    /// Refuses what has waited too long for an app thread. When to look again.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let limit = self.limits.get().time.queue?;
        let mut expired = Vec::new();
        self.queue.borrow_mut().retain(|exchange| {
            let is_late = exchange.waits_since() + limit <= now;
            if is_late {
                expired.push(Rc::clone(exchange));
            }
            !is_late
        });
        for exchange in expired {
            let refusal = Refusal::waited_too_long(limit);
            self.say_refused(&exchange, &refusal);
            exchange.refuse(refusal);
        }
        self.queue.borrow().iter().map(|exchange| exchange.waits_since() + limit).min()
    }

    /// Sees to the requests that run for longer than they should. When to look
    /// again.
    fn overdue(self: &Rc<Self>, now: Instant) -> Option<Instant> {
        let seats: Vec<_> =
            self.workers.borrow().values().flat_map(|w| &w.seats).map(Rc::clone).collect();
        seats.iter().filter_map(|seat| self.look_after(seat, now)).min()
    }

    fn look_after(self: &Rc<Self>, seat: &Rc<Seat>, now: Instant) -> Option<Instant> {
        let TimeLimits { slow, request, grace, .. } = self.limits.get().time;
        let (begun, front) = (seat.since()?, seat.front()?);
        let slow = slow.map(|limit| begun + limit);
        let limit = request.map(|limit| begun + limit);
        match seat.step() {
            Step::Quiet | Step::Slow if limit.is_some_and(|limit| limit <= now) => {
                // Whoever waits for the client is not held up by the app.
                if matches!(seat.phase(), Phase::Writing | Phase::Over) || front.is_cancelled() {
                    return Some(now + SOON);
                }
                seat.advance(Step::Limited(now));
                tokio::task::spawn_local(limited(Rc::clone(seat), front));
                Some(now + grace)
            }
            Step::Quiet if slow.is_some_and(|slow| slow <= now) => {
                seat.advance(Step::Slow);
                tokio::task::spawn_local(slowly(Rc::clone(seat), front));
                limit
            }
            Step::Quiet => slow.into_iter().chain(limit).min(),
            Step::Slow => limit,
            Step::Limited(since) if since + grace <= now => {
                seat.advance(Step::Stuck);
                self.give_up_on(seat, &front);
                None
            }
            Step::Limited(since) => Some(since + grace),
            Step::Stuck => None,
        }
    }

    /// The app does not let go of this request: its client waits no longer, and
    /// its worker is replaced.
    fn give_up_on(&self, seat: &Rc<Seat>, front: &Rc<Exchange>) {
        let (app, worker) = (self.name.as_deref(), seat.worker);
        let request = front.describe();
        if !front.is_cancelled() {
            front
                .refuse(Refusal::took_too_long(self.limits.get().time.request.unwrap_or_default()));
            front.cancel();
        }
        seat.cancel(front);
        let Some(first) = self
            .workers
            .borrow_mut()
            .get_mut(&worker)
            .map(|entry| !std::mem::replace(&mut entry.worn, true))
        else {
            return;
        };
        error!(app, worker, request, "request does not end; its worker is replaced");
        if first && !self.is_all_stuck(worker) {
            let _ = self.supervisor.send(FromGateway::WorkerWorn { group: self.id, worker });
        }
    }

    /// Has those workers ended that only stuck threads are left of. When to look
    /// again.
    fn spent(&self) -> Option<Instant> {
        let worn: Vec<u64> = {
            let workers = self.workers.borrow();
            workers.iter().filter(|(_, w)| w.worn && !w.spent).map(|(id, _)| *id).collect()
        };
        let mut look = None;
        for worker in worn {
            if self.is_all_stuck(worker) {
                if let Some(entry) = self.workers.borrow_mut().get_mut(&worker) {
                    entry.spent = true;
                }
                self.drain(worker);
                let _ = self.supervisor.send(FromGateway::WorkerSpent { group: self.id, worker });
            } else {
                look = Some(Instant::now() + SOON);
            }
        }
        look
    }

    /// Whether no thread of this worker does, or will do, anything else.
    fn is_all_stuck(&self, worker: u64) -> bool {
        let workers = self.workers.borrow();
        workers.get(&worker).is_some_and(|entry| {
            let stuck = |seat: &&Rc<Seat>| seat.step() == Step::Stuck;
            let left = |seat: &&Rc<Seat>| seat.open.get() || seat.depth() > 0;
            let is_some = entry.seats.iter().any(|seat| stuck(&seat));
            is_some && entry.seats.iter().filter(left).all(|seat| stuck(&seat))
        })
    }
}

/// Logs a request that runs for long.
async fn slowly(seat: Rc<Seat>, exchange: Rc<Exchange>) {
    let told = Told::by(&seat, &exchange).await;
    let (app, worker, thread) = (seat.app(), seat.worker, seat.thread() + 1);
    let Told { request, id, trace_id, age_ms, cpu_ms, phase, frames } = told;
    warn!(app, worker, thread, request, id, trace_id, age_ms, cpu_ms, phase, %frames, "slow request");
}

/// Logs a request that has had its time, and has the app told.
async fn limited(seat: Rc<Seat>, exchange: Rc<Exchange>) {
    let number = seat.number();
    let told = Told::by(&seat, &exchange).await;
    order(&seat, &exchange, number);
    let (app, worker, thread) = (seat.app(), seat.worker, seat.thread() + 1);
    let Told { request, id, trace_id, age_ms, cpu_ms, phase, frames } = told;
    error!(app, worker, thread, request, id, trace_id, age_ms, cpu_ms, phase, %frames, "request has had its time (--request-timeout)");
    while seat.serves(&exchange) && matches!(seat.step(), Step::Limited(_)) {
        tokio::time::sleep(AGAIN).await;
        order(&seat, &exchange, number);
    }
}

/// Has the app told that this request has had its time.
fn order(seat: &Seat, exchange: &Rc<Exchange>, number: u32) {
    if seat.serves(exchange)
        && let Some(probe) = seat.probe()
        && let Err(error) = probe.limit(seat.thread(), number)
    {
        warn!(worker = seat.worker, %error, "a worker can't be told that a request has had its time");
    }
}

/// Where a request is.
struct Told {
    request: String,
    id: Option<String>,
    trace_id: Option<String>,
    age_ms: u64,
    cpu_ms: Option<u64>,
    phase: String,
    frames: String,
}

impl Told {
    async fn by(seat: &Rc<Seat>, exchange: &Rc<Exchange>) -> Self {
        let age = seat.since().map(|since| since.elapsed()).unwrap_or_default();
        let (phase, cpu) = (seat.phase(), seat.cpu());
        let frames = match seat.probe() {
            Some(probe) => probe.frames(seat.thread(), ANSWER).await,
            None => Err(std::io::ErrorKind::Unsupported.into()),
        };
        let frames = match frames {
            _ if !seat.serves(exchange) => "it has ended meanwhile".to_owned(),
            Ok(frames) if frames.is_empty() => "no Python code".to_owned(),
            // As a traceback: the innermost last.
            Ok(frames) => frames.iter().rev().map(|frame| format!("\n    {frame}")).collect(),
            Err(error) => format!("not known: {error}"),
        };
        Self {
            request: exchange.describe(),
            id: exchange.id(),
            trace_id: exchange.trace(),
            age_ms: millis(age),
            cpu_ms: cpu.map(millis),
            phase: phase.to_string(),
            frames,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
