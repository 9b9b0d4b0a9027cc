//! The part of the decisions that is about the gateway.
//!
//! ```text
//!            spawned             listens
//! Down(when) ───────▶ Starting ───────────▶ Listening
//!   ▲                  │                      │   └── ended, while flupd stops ──▶ Gone
//!   └──── ended, while flupd serves ──────────┘
//! ```
//!
//! Its death takes all workers with it: their channels ended in it.

use std::time::Instant;

use super::place::Occupant;
use super::{Action, Phase, State};
use crate::control::Load;
use crate::supervisor::cause::Cause;
use crate::supervisor::notes::Note;

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gateway {
    /// To be started at this time.
    Down(Instant),
    Starting,
    Listening(Instant),
    /// It has ended and none will follow.
    Gone,
    /// There is none: each worker serves connections itself.
    Within,
}

impl Gateway {
    /// Whether there is a process that can be told something.
    pub(super) const fn is_alive(self) -> bool {
        matches!(self, Self::Starting | Self::Listening(_))
    }
}

impl State {
    pub(super) fn gateway_listens(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.gateway == Gateway::Starting {
            self.gateway = Gateway::Listening(now);
            self.watch_gateway(now);
            if self.phase == Phase::Serving {
                actions.push(Action::Log(Note::GatewayReplaced));
            }
            for group in self.groups.values() {
                group.tell_sleep(self.gateway, actions);
                group.tell_unavailable(self.gateway, actions);
            }
            self.gateway_switched(true, actions);
        }
    }

    pub(super) fn gateway_exited(
        &mut self,
        cause: &Cause,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.forget_gateway();
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
                self.gateway_lost_in_reload(now, actions);
                for group in self.groups.values_mut() {
                    // Its requests are lost.
                    group.told(Load::default(), now);
                    group.kill_workers(|_| true, actions);
                }
            }
            Phase::Stopping { .. } => {
                self.gateway = Gateway::Gone;
                if !cause.is_success() {
                    actions.push(Action::Log(Note::GatewayCut { cause: cause.to_string() }));
                }
                // Their ports are closed, so those that serve end by themselves;
                // one that still imports would notice only afterwards.
                let starting = |occupant| matches!(occupant, Occupant::Starting(_));
                for group in self.groups.values_mut() {
                    group.kill_workers(starting, actions);
                }
            }
            Phase::Ended => {}
        }
    }
}
