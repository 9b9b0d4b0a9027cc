//! The part of the decisions that is about an upgrade: another program takes the
//! place of this one.
//!
//! ```text
//!      wanted           ready       it has taken over
//! None ──────▶ Trying ────────▶ Trusted ──────▶ Done, flupd stops
//!   ▲             └── it fails, or takes too long ──┐│
//!   └────────────────────────────────────────────────┘
//! ```
//!
//! The new one shows first that it works: its *proof* is a gateway and all workers
//! of all apps, ready at once. Until then whatever fails ends it.

use std::time::{Duration, Instant};

use super::gateway::Gateway;
use super::reload::Reload;
use super::{Action, Phase, State};
use crate::supervisor::notes::Note;

/// How long the new program may take to be ready, and again to take over.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    None,
    /// The new program starts.
    Trying {
        deadline: Instant,
    },
    /// It works, and was told to take over.
    Trusted {
        deadline: Instant,
    },
    /// It has taken over; this one ends.
    Done,
}

/// What a program that is to replace another has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Unneeded,
    Wanted,
    Given,
}

impl State {
    /// It replaces another flupd, which goes on until this one has shown that it
    /// works.
    pub(in crate::supervisor) fn proving(mut self) -> Self {
        self.proof = Proof::Wanted;
        self
    }

    pub(super) fn want_upgrade(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Starting | Phase::Serving => self.upgrade_wanted = true,
            Phase::Stopping { .. } | Phase::Ended => {
                actions.push(Action::UpgradeFailed("flupd is stopping".to_owned()));
            }
        }
    }

    /// Whether an upgrade goes on: nothing else is begun.
    pub(super) fn is_upgrading(&self) -> bool {
        self.upgrade != Upgrade::None
    }

    /// Begins an upgrade that is wanted.
    pub(super) fn begin_upgrade(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let free = matches!(self.reload, Reload::None) && self.phase == Phase::Serving;
        if free && !self.is_upgrading() && std::mem::take(&mut self.upgrade_wanted) {
            self.upgrade = Upgrade::Trying { deadline: now + PATIENCE };
            actions.push(Action::Log(Note::Upgrading));
            actions.push(Action::StartSuccessor);
        }
    }

    /// The new program is ready.
    pub(super) fn successor_ready(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.upgrade, Upgrade::Trying { .. }) {
            self.upgrade = Upgrade::Trusted { deadline: now + PATIENCE };
            actions.push(Action::LetGo);
        }
    }

    /// The new program has taken over.
    pub(super) fn successor_took(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.upgrade, Upgrade::Trusted { .. }) {
            self.upgrade = Upgrade::Done;
            actions.push(Action::Log(Note::Upgraded { grace: self.longest_grace() }));
            actions.push(Action::Retire);
            self.stop(now, actions);
            if !self.gateway.is_alive() {
                actions.push(Action::UpgradeDone);
            }
        }
    }

    /// The new program has ended, or could not be started.
    pub(super) fn successor_ended(&mut self, why: &str, actions: &mut Vec<Action>) {
        if matches!(self.upgrade, Upgrade::Trying { .. } | Upgrade::Trusted { .. }) {
            self.upgrade = Upgrade::None;
            actions.push(Action::Log(Note::UpgradeFailed { error: why.to_owned() }));
            actions.push(Action::UpgradeFailed(why.to_owned()));
        }
    }

    /// Gives up an upgrade that takes too long.
    pub(super) fn settle_upgrade(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.upgrade_wake_at().is_some_and(|deadline| deadline <= now) {
            let seconds = PATIENCE.as_secs();
            let why = format!("the new flupd was not ready within {seconds} s");
            self.successor_ended(&why, actions);
        }
    }

    /// When an upgrade has no more time.
    pub(super) const fn upgrade_wake_at(&self) -> Option<Instant> {
        match self.upgrade {
            Upgrade::Trying { deadline } | Upgrade::Trusted { deadline } => Some(deadline),
            Upgrade::None | Upgrade::Done => None,
        }
    }

    /// A signal to stop has come to a program that was replaced. The first one was
    /// meant for the new one: in a terminal both get it.
    pub(super) fn is_meant_for_successor(&mut self) -> bool {
        let done = self.upgrade == Upgrade::Done;
        if done {
            self.upgrade = Upgrade::None;
        }
        done
    }

    /// Gives the proof once there is one; whatever has failed ends all.
    pub(super) fn prove(&mut self, actions: &mut Vec<Action>) {
        if self.proof != Proof::Wanted || self.phase != Phase::Starting {
            return;
        }
        if let Some(why) = self.groups.values().find_map(|group| group.failure.clone()) {
            self.refuse(why, actions);
            return self.give_up(actions);
        }
        let listens = matches!(self.gateway, Gateway::Listening(_) | Gateway::Within);
        if listens && self.groups.values().all(super::group::Group::is_complete) {
            self.proof = Proof::Given;
            actions.push(Action::SayReady);
        }
    }

    /// Says why there is no proof.
    pub(super) fn refuse(&mut self, why: String, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.proof, Proof::Unneeded) != Proof::Unneeded {
            actions.push(Action::Refuse(why));
        }
    }

    /// The old program has let go.
    pub(super) fn take_over(&mut self, actions: &mut Vec<Action>) {
        if self.proof == Proof::Given && self.phase == Phase::Starting {
            self.proof = Proof::Unneeded;
            self.phase = Phase::Serving;
            actions.push(Action::TakeOver);
            actions.push(Action::Log(Note::Ready));
        }
    }

    /// The old program has ended. If it had not let go, it does not want this one.
    pub(super) fn elder_gone(&mut self, actions: &mut Vec<Action>) {
        if self.proof != Proof::Unneeded {
            self.proof = Proof::Unneeded;
            actions.push(Action::Log(Note::NotWanted));
            self.give_up(actions);
        }
    }
}
