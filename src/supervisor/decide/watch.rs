//! The part of the decisions that is about a gateway that hangs: it lives, but
//! does nothing any more.
//!
//! It is asked again and again whether it is there, and has to answer one question
//! before the third one after it. Not a time is measured but questions are counted:
//! whoever was stopped himself, with the whole machine, has asked none meanwhile.

use std::time::{Duration, Instant};

use super::gateway::Gateway;
use super::{Action, Phase, State};
use crate::control::ToGateway;
use crate::supervisor::notes::Note;

/// How many questions may be without an answer.
const UNANSWERED: u32 = 3;

/// What is known of the gateway's answers.
#[derive(Debug)]
pub(super) struct Watch {
    /// How often it is asked.
    every: Duration,
    /// When it is asked next.
    next: Option<Instant>,
    unanswered: u32,
}

impl Watch {
    /// A gateway may be silent for so long, or up to a third more.
    fn new(patience: Duration) -> Self {
        Self { every: patience / UNANSWERED, next: None, unanswered: 0 }
    }
}

impl State {
    /// Ends a gateway that does not answer for about this time.
    pub(in crate::supervisor) fn watching(mut self, patience: Duration) -> Self {
        self.watch = Some(Watch::new(patience));
        self
    }

    /// Whether the gateway is all right, as far as is known: it does not hang, or
    /// there is none.
    pub(in crate::supervisor) fn is_well(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.unanswered <= UNANSWERED)
    }

    /// A gateway has begun to listen.
    pub(super) fn watch_gateway(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch {
            (watch.next, watch.unanswered) = (Some(now + watch.every), 0);
        }
    }

    /// It has answered.
    pub(super) fn gateway_answers(&mut self) {
        if let Some(watch) = &mut self.watch
            && watch.next.is_some()
        {
            watch.unanswered = 0;
        }
    }

    /// There is none any more.
    pub(super) fn forget_gateway(&mut self) {
        if let Some(watch) = &mut self.watch {
            (watch.next, watch.unanswered) = (None, 0);
        }
    }

    /// Asks it, or ends it.
    pub(super) fn look_at_gateway(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let listens = matches!(self.gateway, Gateway::Listening(_));
        let Some(watch) = &mut self.watch else { return };
        if !listens || self.phase == Phase::Ended || watch.next.is_none_or(|next| now < next) {
            return;
        }
        watch.unanswered += 1;
        if watch.unanswered > UNANSWERED {
            // Its end is seen next. If it is not, the system's watchdog is not fed.
            watch.next = None;
            let silent = watch.every * UNANSWERED;
            actions.push(Action::Log(Note::GatewayHangs { silent }));
            actions.push(Action::KillGateway);
        } else {
            watch.next = Some(now + watch.every);
            actions.push(Action::Tell(ToGateway::Ping));
        }
    }

    /// When it is asked next.
    pub(super) fn watch_wake_at(&self) -> Option<Instant> {
        self.watch.as_ref()?.next
    }
}
