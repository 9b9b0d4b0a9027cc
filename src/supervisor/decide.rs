//! What to do: (state, event, now) → actions. Pure: no process, no socket, no
//! clock. The loop in [`super`] carries the actions out.
//!
//! ```text
//!            first worker ready,            signal                    gateway and
//!            gateway listens                                          workers ended
//! Starting ─────────────────▶ Serving ─────────────▶ Stopping ─────────────────▶ Ended
//!    │ └──────── signal ─────────────────────────────▶ │
//!    └── a worker or the gateway ends ──▶ Ended        └── deadline, 2nd signal ─▶ Ended
//! ```
//!
//! There are as many *places* as workers were asked for. A place is empty until
//! some time, or holds one worker. With a zygote, places are filled while that
//! is ready: see [`zygote`].

mod place;
mod zygote;

use std::time::{Duration, Instant};

use self::place::{Occupant, Place};
use self::zygote::Zygote;
use super::backoff::Backoff;
use super::cause::Cause;
use super::notes::Note;
use crate::control::ToGateway;

/// How long the gateway may take to end after it has let the workers go.
const LAST_STEPS: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// flupd was started, or time has passed.
    Tick,
    /// The zygote has imported the app, which has started these threads.
    ZygoteReady { app: String, python: String, threads: Vec<String> },
    /// The zygote can't import the app.
    ZygoteFailed { error: String },
    /// The zygote has ended.
    ZygoteExited { cause: Cause },
    /// The zygote has forked a worker.
    WorkerForked { worker: u64, pid: u32 },
    /// A worker has imported the app.
    WorkerReady { worker: u64, app: String, python: String },
    /// A worker can't import the app.
    WorkerFailed { worker: u64, error: String },
    /// A worker has ended.
    WorkerExited { worker: u64, cause: Cause },
    /// The gateway says that a worker broke the channel protocol.
    WorkerBroken { worker: u64, reason: String },
    /// The gateway accepts connections.
    GatewayListens,
    /// The gateway has ended.
    GatewayExited { cause: Cause },
    /// SIGTERM or SIGINT.
    Signal,
}

/// What to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a gateway with all listening sockets.
    SpawnGateway,
    /// Start the process that imports the app and forks workers.
    SpawnZygote,
    /// Start a worker of this number and give its ports to the gateway; with a
    /// zygote, have that fork one.
    SpawnWorker(u64),
    /// End it with SIGKILL.
    KillZygote,
    /// End it with SIGKILL.
    KillGateway,
    /// End it with SIGKILL.
    KillWorker(u64),
    /// Have a worker that serves connections itself finish and end.
    StopWorker(u64),
    /// Send the gateway a message.
    Tell(ToGateway),
    /// Close the listening sockets and remove those we made.
    CloseListeners,
    /// Say something.
    Log(Note),
    /// End the supervisor with this status.
    Exit(u8),
}

/// All that decisions depend on.
#[derive(Debug)]
pub(super) struct State {
    grace: Duration,
    phase: Phase,
    gateway: Gateway,
    gateway_backoff: Backoff,
    zygote: Zygote,
    zygote_backoff: Backoff,
    /// Whether the last zygote ended before it was ready.
    preload_fails: bool,
    places: Vec<Place>,
    last_worker: u64,
}

/// Which processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A gateway, and workers that import the app.
    Routed,
    /// A gateway, and a zygote that imports the app and forks workers.
    Preload,
    /// Workers that serve connections themselves.
    Solo,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Stopping { deadline: Instant },
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gateway {
    /// To be started at this time.
    Down(Instant),
    Starting,
    Listening(Instant),
    /// It has ended and none will follow.
    Gone,
    /// There is none: each worker serves connections itself.
    Within,
}

impl State {
    /// Nothing runs yet; the first [`Event::Tick`] starts everything.
    pub(super) fn new(workers: usize, mode: Mode, grace: Duration, now: Instant) -> Self {
        let place = || Place { occupant: Occupant::Nobody(now), backoff: Backoff::default() };
        Self {
            grace,
            phase: Phase::Starting,
            gateway: if mode == Mode::Solo { Gateway::Within } else { Gateway::Down(now) },
            gateway_backoff: Backoff::default(),
            zygote: if mode == Mode::Preload { Zygote::Down(now) } else { Zygote::Unused },
            zygote_backoff: Backoff::default(),
            preload_fails: false,
            places: std::iter::repeat_with(place).take(workers).collect(),
            last_worker: 0,
        }
    }

    /// When a [`Event::Tick`] is wanted next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let deadline = match self.phase {
            Phase::Stopping { deadline } => Some(deadline),
            _ => None,
        };
        let starts = match self.gateway {
            Gateway::Down(at) => Some(at),
            Gateway::Gone => None,
            Gateway::Within if deadline.is_some() => None,
            Gateway::Starting | Gateway::Listening(_) | Gateway::Within => match self.zygote {
                Zygote::Unused | Zygote::Ready(_) => self.next_vacancy(),
                Zygote::Down(at) => Some(at),
                Zygote::Starting | Zygote::Ending(_) => None,
            },
        };
        deadline.into_iter().chain(starts).min()
    }

    /// Takes one event in and says what to do.
    pub(super) fn decide(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Ended {
            return actions;
        }
        match event {
            Event::Tick => {}
            Event::ZygoteReady { app, python, threads } => {
                self.zygote_ready(app, python, threads, now, &mut actions);
            }
            Event::ZygoteFailed { error } => self.zygote_failed(error, &mut actions),
            Event::ZygoteExited { cause } => self.zygote_exited(&cause, now, &mut actions),
            Event::WorkerForked { worker, pid } => {
                self.worker_forked(worker, pid, &mut actions);
            }
            Event::WorkerReady { worker, app, python } => {
                self.worker_ready(worker, app, python, now, &mut actions);
            }
            Event::WorkerFailed { worker, error } => {
                self.worker_failed(worker, error, &mut actions);
            }
            Event::WorkerExited { worker, cause } => {
                self.worker_exited(worker, &cause, now, &mut actions);
            }
            Event::WorkerBroken { worker, reason } => {
                self.worker_broken(worker, reason, now, &mut actions);
            }
            Event::GatewayListens => self.gateway_listens(now, &mut actions),
            Event::GatewayExited { cause } => self.gateway_exited(&cause, now, &mut actions),
            Event::Signal => self.signal(now, &mut actions),
        }
        self.announce(&mut actions);
        self.fill(now, &mut actions);
        self.finish(now, &mut actions);
        actions
    }

    fn worker_ready(
        &mut self,
        worker: u64,
        app: String,
        python: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let replacement = worker > self.places.len() as u64;
        let Some(place) = self.place(worker) else { return };
        if place.occupant == Occupant::Starting(worker) {
            place.occupant = Occupant::Ready(worker, now);
            actions.push(Action::Log(Note::WorkerReady { worker, app, python, replacement }));
            actions.push(Action::Tell(ToGateway::WorkerReady { worker }));
        }
    }

    fn worker_failed(&mut self, worker: u64, error: String, actions: &mut Vec<Action>) {
        let starting = self.phase == Phase::Starting;
        let Some(place) = self.place(worker) else { return };
        if place.occupant != Occupant::Starting(worker) {
            return;
        }
        let wait = place.backoff.after_death(None);
        place.occupant = Occupant::Failed(worker, wait);
        let again_in = (!starting).then_some(wait);
        actions.push(Action::Log(Note::ImportFailed { worker, error, again_in }));
        match starting {
            true => self.give_up(actions),
            false => actions.push(Action::KillWorker(worker)),
        }
    }

    fn worker_exited(
        &mut self,
        worker: u64,
        cause: &Cause,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        // Without a gateway, workers end because their ports are closed.
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        let unserved = self.gateway == Gateway::Gone || self.gateway == Gateway::Within && stopping;
        let starting = self.phase == Phase::Starting;
        let Some(place) = self.place(worker) else { return };
        let failed = matches!(place.occupant, Occupant::Failed(..));
        let (wait, expected) = match place.occupant {
            Occupant::Ending(_, wait) | Occupant::Failed(_, wait) => (wait, true),
            // The gateway is done and lets go: its own end is seen next. If it is
            // not, the app has asked to exit, and requests wait for another.
            Occupant::Ready(..) if stopping && cause.is_success() => (LAST_STEPS, true),
            Occupant::Ready(_, since) => {
                (place.backoff.after_death(Some(now.saturating_duration_since(since))), unserved)
            }
            Occupant::Starting(_) | Occupant::Nobody(_) => {
                (place.backoff.after_death(None), unserved)
            }
        };
        let never_ready = matches!(place.occupant, Occupant::Starting(_));
        place.occupant = Occupant::Nobody(now + wait);
        let known = !matches!(cause, Cause::Lost(_));
        let cause = cause.to_string();
        if starting && never_ready {
            actions.push(Action::Log(Note::StartFailed { cause }));
            self.give_up(actions);
            return;
        }
        actions.push(Action::Log(match expected {
            true => Note::WorkerEnded { worker, cause: cause.clone() },
            false => {
                // Who would have told of it has died with it.
                let known = known && self.gateway != Gateway::Within;
                Note::WorkerDied { worker, cause: cause.clone(), again_in: wait, known }
            }
        }));
        if matches!(self.gateway, Gateway::Starting | Gateway::Listening(_)) {
            // It is told why, not how.
            let cause = if failed { "it can't import the app".to_owned() } else { cause };
            actions.push(Action::Tell(ToGateway::WorkerExited { worker, cause, expected }));
        }
        self.tell_unavailable(actions);
    }

    fn worker_broken(
        &mut self,
        worker: u64,
        reason: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(place) = self.place(worker) else { return };
        let lived = match place.occupant {
            Occupant::Ready(_, since) => Some(now.saturating_duration_since(since)),
            Occupant::Starting(_) => None,
            Occupant::Ending(..) | Occupant::Failed(..) | Occupant::Nobody(_) => return,
        };
        let wait = place.backoff.after_death(lived);
        place.occupant = Occupant::Ending(worker, wait);
        actions.push(Action::Log(Note::WorkerBroken { worker, reason }));
        actions.push(Action::KillWorker(worker));
    }

    fn gateway_listens(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.gateway == Gateway::Starting {
            self.gateway = Gateway::Listening(now);
            if self.phase == Phase::Serving {
                actions.push(Action::Log(Note::GatewayReplaced));
            }
            self.tell_unavailable(actions);
        }
    }

    fn gateway_exited(&mut self, cause: &Cause, now: Instant, actions: &mut Vec<Action>) {
        let lived = match self.gateway {
            Gateway::Listening(since) => Some(now.saturating_duration_since(since)),
            _ => None,
        };
        match self.phase {
            Phase::Starting => {
                self.gateway = Gateway::Gone;
                actions.push(Action::Log(Note::GatewayFailed { cause: cause.to_string() }));
                self.give_up(actions);
            }
            Phase::Serving => {
                let again_in = self.gateway_backoff.after_death(lived);
                self.gateway = Gateway::Down(now + again_in);
                let cause = cause.to_string();
                actions.push(Action::Log(Note::GatewayDied { cause, again_in }));
                self.kill_workers(|_| true, actions);
            }
            Phase::Stopping { .. } => {
                self.gateway = Gateway::Gone;
                if !cause.is_success() {
                    actions.push(Action::Log(Note::GatewayCut { cause: cause.to_string() }));
                }
                // Their ports are closed, so those that serve end by themselves;
                // one that still imports would notice only afterwards.
                self.kill_workers(|occupant| matches!(occupant, Occupant::Starting(_)), actions);
            }
            Phase::Ended => {}
        }
    }

    fn signal(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Stopping { .. } = self.phase {
            actions.push(Action::Log(Note::StoppedAtOnce));
            self.give_up(actions);
            return;
        }
        self.phase = Phase::Stopping { deadline: now + self.grace };
        actions.push(Action::Log(Note::Stopping { grace: self.grace }));
        actions.push(Action::CloseListeners);
        match self.gateway {
            Gateway::Starting | Gateway::Listening(_) => {
                actions.push(Action::Tell(ToGateway::Stop));
            }
            Gateway::Down(_) | Gateway::Gone => self.gateway = Gateway::Gone,
            Gateway::Within => {
                let workers = self.places.iter().filter_map(|place| place.occupant.worker());
                actions.extend(workers.map(Action::StopWorker));
            }
        }
    }

    /// Says once that all is well.
    fn announce(&mut self, actions: &mut Vec<Action>) {
        let listens = matches!(self.gateway, Gateway::Listening(_) | Gateway::Within);
        let mut occupants = self.places.iter().map(|place| place.occupant);
        if self.phase == Phase::Starting
            && listens
            && occupants.any(|occupant| matches!(occupant, Occupant::Ready(..)))
        {
            self.phase = Phase::Serving;
            actions.push(Action::Log(Note::Ready));
        }
    }

    /// Starts what is missing and due. While the gateway drains, the pool is
    /// kept whole: requests that wait need someone to run them.
    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.gateway {
            Gateway::Down(at) if at <= now => {
                self.gateway = Gateway::Starting;
                actions.push(Action::SpawnGateway);
            }
            Gateway::Down(_) | Gateway::Gone => return,
            // Nobody accepts for a new worker: the sockets are closed.
            Gateway::Within if matches!(self.phase, Phase::Stopping { .. }) => return,
            Gateway::Starting | Gateway::Listening(_) | Gateway::Within => {}
        }
        if !self.fill_zygote(now, actions) {
            return;
        }
        for place in &mut self.places {
            if matches!(place.occupant, Occupant::Nobody(at) if at <= now) {
                self.last_worker += 1;
                place.occupant = Occupant::Starting(self.last_worker);
                actions.push(Action::SpawnWorker(self.last_worker));
            }
        }
    }

    /// Ends when there is nothing left to wait for, or no time.
    fn finish(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::Stopping { deadline } = self.phase else { return };
        let workers = self.places.iter().filter(|place| place.occupant.worker().is_some()).count();
        let gateway = !matches!(self.gateway, Gateway::Gone | Gateway::Within);
        if gateway || workers > 0 {
            if now < deadline {
                return;
            }
            actions.push(Action::Log(Note::Cut { gateway, workers }));
            self.kill_all(actions);
        } else {
            self.kill_zygote(actions);
        }
        self.phase = Phase::Ended;
        actions.push(Action::Log(Note::Stopped));
        actions.push(Action::Exit(0));
    }

    /// Ends everything at once, with a failure.
    fn give_up(&mut self, actions: &mut Vec<Action>) {
        self.kill_all(actions);
        self.phase = Phase::Ended;
        self.gateway = Gateway::Gone;
        actions.push(Action::CloseListeners);
        actions.push(Action::Log(Note::Stopped));
        actions.push(Action::Exit(1));
    }

    fn kill_all(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.gateway, Gateway::Starting | Gateway::Listening(_)) {
            actions.push(Action::KillGateway);
        }
        self.kill_zygote(actions);
        self.kill_workers(|_| true, actions);
    }

    fn kill_workers(&mut self, which: impl Fn(Occupant) -> bool, actions: &mut Vec<Action>) {
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

    fn place(&mut self, worker: u64) -> Option<&mut Place> {
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

#[cfg(test)]
mod tests;
