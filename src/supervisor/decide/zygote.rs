//! The part of the decisions that is about the zygote.
//!
//! ```text
//!            spawned              imported
//! Down(when) ───────▶ Starting ────────────▶ Ready
//!   ▲                  │  └─ import failed ─▶ Ending ─┐
//!   └───── ended ──────┴──────────────────────┴───────┘
//! ```
//!
//! Workers are forked while it is ready. Its death takes no worker with it: those
//! that run go on, and those that are missing wait for the next zygote.

use std::time::{Duration, Instant};

use super::Action;
use super::gateway::Gateway;
use super::group::{Group, Surroundings};
use super::place::Occupant;
use crate::control::ToGateway;
use crate::supervisor::cause::Cause;
use crate::supervisor::notes::Note;

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zygote {
    /// Workers are started one by one.
    Unused,
    /// To be started at this time.
    Down(Instant),
    Starting,
    Ready(Instant),
    /// Killed by us; the next one waits this long after its end.
    Ending(Duration),
}

impl Group {
    pub(super) fn zygote_ready(
        &mut self,
        app: String,
        python: String,
        threads: Vec<String>,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        if self.zygote == Zygote::Starting {
            self.zygote = Zygote::Ready(around.now);
            self.preload_fails = false;
            self.restart_goes_on(around.now);
            let replacement = self.places.iter().any(|place| place.is_used());
            let ready = Note::ZygoteReady { app, python, replacement };
            actions.push(Action::LogOf(self.id, ready));
            if !threads.is_empty() {
                actions.push(Action::LogOf(self.id, Note::ThreadsAtImport { threads }));
            }
            self.tell_sleep(around.gateway, actions);
        }
    }

    pub(super) fn zygote_failed(
        &mut self,
        error: String,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let lived = match self.zygote {
            Zygote::Starting => None,
            // What it says can't be understood.
            Zygote::Ready(_) => Some(Duration::ZERO),
            Zygote::Unused | Zygote::Down(_) | Zygote::Ending(_) => return,
        };
        let wait = self.zygote_backoff.after_death(lived);
        self.zygote = Zygote::Ending(wait);
        self.preload_fails |= lived.is_none();
        self.fail(&error, around);
        let again_in = self.is_tried_again(around).then_some(wait);
        actions.push(Action::LogOf(self.id, Note::PreloadFailed { error, again_in }));
        if !around.last_hope {
            actions.push(Action::KillZygote(self.id));
            self.tell_unavailable(around.gateway, actions);
        }
    }

    pub(super) fn zygote_exited(
        &mut self,
        cause: &Cause,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let now = around.now;
        let lived = match self.zygote {
            Zygote::Unused | Zygote::Down(_) => return,
            Zygote::Ending(wait) => {
                self.zygote = Zygote::Down(now + wait);
                actions
                    .push(Action::LogOf(self.id, Note::ZygoteEnded { cause: cause.to_string() }));
                return;
            }
            Zygote::Starting => None,
            Zygote::Ready(since) => Some(now.saturating_duration_since(since)),
        };
        let again_in = self.zygote_backoff.after_death(lived);
        self.zygote = Zygote::Down(now + again_in);
        self.preload_fails |= lived.is_none();
        let cause = cause.to_string();
        if lived.is_none() {
            self.fail(&format!("the zygote ended before it was ready: {cause}"), around);
        }
        if around.last_hope && lived.is_none() {
            actions.push(Action::LogOf(self.id, Note::ZygoteStartFailed { cause }));
        } else {
            actions.push(Action::LogOf(self.id, Note::ZygoteDied { cause, again_in }));
            self.tell_unavailable(around.gateway, actions);
        }
    }

    /// Nobody runs requests, and who would fork workers can't import the app:
    /// requests shall not wait in vain.
    pub(super) fn tell_unavailable(&self, gateway: Gateway, actions: &mut Vec<Action>) {
        let nobody = self.places.iter().all(|place| place.occupant.worker().is_none());
        if self.preload_fails && gateway.is_alive() && nobody {
            actions.push(Action::Tell(ToGateway::AppUnavailable { group: self.id }));
        }
    }

    pub(super) fn worker_forked(&mut self, worker: u64, pid: u32, actions: &mut Vec<Action>) {
        let starting = Occupant::Starting(worker);
        if self.place(worker).is_some_and(|place| place.occupant == starting) {
            let group = self.id;
            actions.push(Action::Tell(ToGateway::WorkerStarted {
                group,
                worker,
                pid,
                probed: true,
            }));
        }
    }

    /// Whether a zygote runs.
    pub(super) const fn has_zygote(&self) -> bool {
        matches!(self.zygote, Zygote::Starting | Zygote::Ready(_) | Zygote::Ending(_))
    }

    /// Starts a zygote if one is due; says whether workers can be started.
    pub(super) fn fill_zygote(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        match self.zygote {
            Zygote::Unused | Zygote::Ready(_) => true,
            Zygote::Down(at) if at <= now => {
                self.zygote = Zygote::Starting;
                actions.push(Action::SpawnZygote(self.id));
                false
            }
            Zygote::Down(_) | Zygote::Starting | Zygote::Ending(_) => false,
        }
    }

    pub(super) fn kill_zygote(&mut self, actions: &mut Vec<Action>) {
        if self.has_zygote() {
            self.zygote = Zygote::Ending(Duration::ZERO);
            actions.push(Action::KillZygote(self.id));
        }
    }
}
