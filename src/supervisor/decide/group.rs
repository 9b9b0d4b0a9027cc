//! What one generation of an app has: the places of its workers, and the zygote
//! that forks them.
//!
//! There are as many *places* as workers are wanted: see [`super::demand`]. A place
//! is empty until some time, or holds one worker. With a zygote, places are filled while that
//! is ready: see [`super::zygote`].
//!
//! ```text
//!         a worker is ready
//! Pending ────────────────▶ Proven
//!    └─ import fails ─▶ Failed ─▲   (flupd ends if no other app can start either)
//! ```

use std::time::{Duration, Instant};

use super::Action;
use super::demand::Demand;
use super::gateway::Gateway;
use super::place::{Occupant, Place, Stay};
use super::reload::Stage;
use super::restart::Restart;
use super::zygote::Zygote;
use crate::config::{GroupId, Workers};
use crate::control::ToGateway;
use crate::supervisor::backoff::Backoff;
use crate::supervisor::cause::Cause;
use crate::supervisor::notes::Note;

/// How long the gateway may take to end after it has let the workers go.
pub(super) const LAST_STEPS: Duration = Duration::from_millis(500);

/// How much of an app there shall be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct Plan {
    /// How many workers.
    pub(in crate::supervisor) workers: Workers,
    /// How many requests each can have at a time.
    pub(in crate::supervisor) threads: usize,
    /// Whether a zygote imports the app and forks them.
    pub(in crate::supervisor) preload: bool,
    /// Whether new workers have to answer a probe.
    pub(in crate::supervisor) probe: bool,
    /// How long running requests may take when workers leave; none: as for all.
    pub(in crate::supervisor) grace: Option<Duration>,
    /// The age at which a worker is replaced.
    pub(in crate::supervisor) max_age: Option<Duration>,
    /// The resident memory at which it is, in bytes.
    pub(in crate::supervisor) max_memory: Option<u64>,
}

/// One generation of one app.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) plan: Plan,
    start: Start,
    pub(super) stage: Stage,
    /// Why it could not start, the last time.
    pub(super) failure: Option<String>,
    pub(super) zygote: Zygote,
    pub(super) zygote_backoff: Backoff,
    /// Whether the last zygote ended before it was ready.
    pub(super) preload_fails: bool,
    pub(super) places: Vec<Place>,
    pub(super) demand: Demand,
    /// Whether there is no place, which is as it should be.
    pub(super) sleeps: bool,
    pub(super) restart: Option<Restart>,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Pending,
    Proven,
    Failed,
}

/// What a group has to know of the rest of flupd.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// Whether flupd ends if this group can't start.
    pub(super) last_hope: bool,
    /// Whether flupd is stopping.
    pub(super) stopping: bool,
    pub(super) gateway: Gateway,
    pub(super) now: Instant,
}

impl Group {
    /// Nothing runs yet.
    pub(super) fn new(id: GroupId, plan: Plan, stage: Stage, now: Instant) -> Self {
        Self {
            id,
            plan,
            start: Start::Pending,
            stage,
            failure: None,
            zygote: if plan.preload { Zygote::Down(now) } else { Zygote::Unused },
            zygote_backoff: Backoff::default(),
            preload_fails: false,
            places: std::iter::repeat_with(|| Place::new(now)).take(plan.workers.first()).collect(),
            demand: Demand::new(plan.workers, plan.threads, now),
            sleeps: false,
            restart: None,
        }
    }

    /// How long running requests may take when its workers leave, if it is this for
    /// all.
    pub(super) fn grace(&self, all: Duration) -> Duration {
        self.plan.grace.unwrap_or(all)
    }

    pub(super) const fn id(&self) -> GroupId {
        self.id
    }

    /// Whether its first start has come to an end, good or bad.
    pub(super) fn has_started(&self) -> bool {
        self.start != Start::Pending
    }

    /// Whether no worker of it has ever been ready, and the last try has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.start == Start::Failed
    }

    /// Whether a worker of it has ever been ready.
    pub(super) fn is_proven(&self) -> bool {
        self.start == Start::Proven
    }

    /// Its first start is hopeless, or but one more that has failed.
    pub(super) fn fail(&mut self, why: &str, around: &Surroundings) {
        self.failure = Some(why.to_owned());
        if self.start == Start::Pending || around.last_hope {
            self.start = Start::Failed;
        }
    }

    /// Whether what has failed is tried again.
    pub(super) fn is_tried_again(&self, around: &Surroundings) -> bool {
        !around.last_hope && self.stage == Stage::Active
    }

    /// Whether this is a worker of it that has not ended.
    pub(super) fn has(&self, worker: u64) -> bool {
        self.workers().any(|one| one == worker)
    }

    /// Its workers that have not ended.
    pub(super) fn workers(&self) -> impl Iterator<Item = u64> {
        self.places.iter().filter_map(|place| place.occupant.worker())
    }

    /// When something is due: while flupd serves, workers may also leave.
    pub(super) fn wake_at(&self, serves: bool) -> Option<Instant> {
        if let Stage::Leaving(until) = self.stage {
            return (!self.is_killed()).then_some(until);
        }
        let start = match self.zygote {
            Zygote::Unused | Zygote::Ready(_) => self.next_vacancy(),
            Zygote::Down(at) => Some(at),
            Zygote::Starting | Zygote::Ending(_) => None,
        };
        let change = (self.stage == Stage::Active).then(|| self.next_change(serves)).flatten();
        let rest = [self.next_birthday(), change, self.restart_deadline()];
        start.into_iter().chain(rest.into_iter().flatten()).min()
    }

    pub(super) fn worker_ready(
        &mut self,
        worker: u64,
        app: String,
        python: String,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let id = self.id;
        let Some(place) = self.place(worker) else { return };
        if place.occupant != Occupant::Starting(worker) {
            return;
        }
        place.occupant = Occupant::Ready(worker, around.now);
        place.due = None;
        let replacement = place.used;
        self.start = Start::Proven;
        self.failure = None;
        self.restart_goes_on(around.now);
        if !replacement {
            let wanted = self.size();
            self.demand.were_wanted(wanted, around.now);
        }
        let ready = Note::WorkerReady { worker, app, python, replacement };
        actions.push(Action::LogOf(id, ready));
        actions.push(Action::Tell(ToGateway::WorkerReady { group: id, worker }));
        self.relieve(around, actions);
    }

    pub(super) fn worker_failed(
        &mut self,
        worker: u64,
        error: String,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        self.worker_unfit(worker, &error, around, actions, |again_in| Note::ImportFailed {
            worker,
            error: error.clone(),
            again_in,
        });
    }

    /// A worker can't serve, as `note` says.
    pub(super) fn worker_unfit(
        &mut self,
        worker: u64,
        error: &str,
        around: &Surroundings,
        actions: &mut Vec<Action>,
        note: impl FnOnce(Option<Duration>) -> Note,
    ) {
        let Some(place) = self.place(worker) else { return };
        if place.occupant != Occupant::Starting(worker) {
            return;
        }
        let wait = place.backoff.after_death(None);
        place.occupant = Occupant::Failed(worker, wait);
        self.fail(error, around);
        let again_in = self.is_tried_again(around).then_some(wait);
        actions.push(Action::LogOf(self.id, note(again_in)));
        if !around.last_hope {
            actions.push(Action::KillWorker(worker));
        }
    }

    pub(super) fn worker_exited(
        &mut self,
        worker: u64,
        cause: &Cause,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let &Surroundings { stopping, gateway, now, .. } = around;
        // Without a gateway, workers end because their ports are closed.
        let unserved = gateway == Gateway::Gone || gateway == Gateway::Within && stopping;
        let id = self.id;
        let leaving = self.is_leaving();
        let Some(place) = self.place(worker) else { return };
        let failed = matches!(place.occupant, Occupant::Failed(..));
        let (wait, expected) = match place.occupant {
            Occupant::Ending(_, wait) | Occupant::Failed(_, wait) => (wait, true),
            // The gateway is done and lets go: its own end is seen next. If it is
            // not, the app has asked to exit, and requests wait for another.
            Occupant::Ready(..) if stopping && cause.is_success() => (LAST_STEPS, true),
            Occupant::Ready(..)
                if matches!(place.stay, Stay::Drained(_) | Stay::Released)
                    && cause.is_success() =>
            {
                (Duration::ZERO, true)
            }
            Occupant::Ready(_, since) => {
                let lived = now.saturating_duration_since(since);
                (place.backoff.after_death(Some(lived)), unserved || leaving)
            }
            Occupant::Starting(_) | Occupant::Nobody(_) => {
                (place.backoff.after_death(None), unserved)
            }
        };
        let never_ready = matches!(place.occupant, Occupant::Starting(_));
        place.occupant = Occupant::Nobody(now + wait);
        place.used = true;
        self.close_up();
        let known = !matches!(cause, Cause::Lost(_));
        let cause = cause.to_string();
        if never_ready && !expected {
            self.fail(&format!("a worker ended before it was ready: {cause}"), around);
            if around.last_hope {
                actions.push(Action::LogOf(id, Note::StartFailed { cause }));
                return;
            }
        }
        let note = if expected {
            Note::WorkerEnded { worker, cause: cause.clone() }
        } else {
            // Who would have told of it has died with it.
            let known = known && gateway != Gateway::Within;
            Note::WorkerDied { worker, cause: cause.clone(), again_in: wait, known }
        };
        actions.push(Action::LogOf(id, note));
        if gateway.is_alive() {
            // It is told why, not how.
            let cause = if failed { "it can't start the app".to_owned() } else { cause };
            let group = id;
            actions.push(Action::Tell(ToGateway::WorkerExited { group, worker, cause, expected }));
        }
        self.tell_unavailable(gateway, actions);
    }

    pub(super) fn worker_broken(
        &mut self,
        worker: u64,
        reason: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let id = self.id;
        let Some(place) = self.place(worker) else { return };
        let lived = match place.occupant {
            Occupant::Ready(_, since) => Some(now.saturating_duration_since(since)),
            Occupant::Starting(_) => None,
            Occupant::Ending(..) | Occupant::Failed(..) | Occupant::Nobody(_) => return,
        };
        let wait = place.backoff.after_death(lived);
        place.occupant = Occupant::Ending(worker, wait);
        actions.push(Action::LogOf(id, Note::WorkerBroken { worker, reason }));
        actions.push(Action::KillWorker(worker));
    }

    /// Starts what is missing and due. `last` is the number of the worker that
    /// was started last, of any group.
    pub(super) fn fill(&mut self, last: &mut u64, now: Instant, actions: &mut Vec<Action>) {
        if self.is_leaving() || !self.fill_zygote(now, actions) {
            return;
        }
        for place in &mut self.places {
            if matches!(place.occupant, Occupant::Nobody(at) if at <= now) {
                *last += 1;
                place.occupant = Occupant::Starting(*last);
                actions.push(Action::SpawnWorker(self.id, *last));
            }
        }
    }

    pub(super) fn kill_workers(
        &mut self,
        which: impl Fn(Occupant) -> bool,
        actions: &mut Vec<Action>,
    ) {
        for place in &mut self.places {
            if let Some(worker) = place.occupant.worker()
                && which(place.occupant)
            {
                // Not its own fault: its successor need not wait.
                if !place.occupant.is_ending() {
                    place.occupant = Occupant::Ending(worker, Duration::ZERO);
                }
                actions.push(Action::KillWorker(worker));
            }
        }
    }

    pub(super) fn place(&mut self, worker: u64) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.occupant.worker() == Some(worker))
    }

    fn next_vacancy(&self) -> Option<Instant> {
        let times = self.places.iter().filter_map(|place| match place.occupant {
            Occupant::Nobody(at) => Some(at),
            _ => None,
        });
        times.min()
    }
}
