//! The part of the decisions that is about a reload.
//!
//! ```text
//!        all its workers are ready          no worker is left
//! Trial ───────────────────────────▶ Active ─ replaced ─▶ Leaving ───▶ (forgotten)
//!    └── one of them fails, or it takes too long ───────────▲
//!
//! None ─ wanted ─▶ Preparing ─ found ─▶ Trying ─ all ready ─▶ Switching ─▶ None
//!                      └──── failed ──────┴──────────────────────────────────▲
//! ```
//!
//! New generations start beside those that serve. When every worker of all of
//! them is ready, they take the requests together; what served before finishes
//! what it has begun. If one fails, all of them go, and nothing has changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::canary::{Compared, Comparison};
use super::gateway::Gateway;
use super::group::{Group, Plan};
use super::{Action, Phase, State};
use crate::config::{AppId, GroupId};
use crate::control::ToGateway;
use crate::supervisor::notes::Note;

/// What a generation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It shows that it can start; it gets no requests.
    Trial,
    Active,
    /// It finishes what it has begun, until this time.
    Leaving(Instant),
}

/// How far a reload is.
#[derive(Debug)]
pub(super) enum Reload {
    None,
    /// The configuration is read, interpreters are looked for.
    Preparing,
    /// The new generations start.
    Trying {
        groups: Vec<GroupId>,
        /// The apps that are there no more.
        removed: Vec<AppId>,
        /// The new generations that are compared with the old ones first.
        canaries: BTreeMap<GroupId, Compared>,
        deadline: Instant,
        patience: Duration,
    },
    /// They get a part of the requests: see [`super::canary`].
    Comparing(Comparison),
    /// The gateway was told to give the requests to the new generations. If it has
    /// ended meanwhile, the next one does so from its start.
    Switching {
        anew: bool,
        /// What is to be said when that is done.
        told: Option<String>,
    },
}

/// What a reload shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct ReloadPlan {
    /// The new generations.
    pub(in crate::supervisor) groups: Vec<(GroupId, Plan)>,
    /// The apps that are there no more.
    pub(in crate::supervisor) removed: Vec<AppId>,
    /// The new generations that are compared with the old ones first.
    pub(in crate::supervisor) canaries: BTreeMap<GroupId, Compared>,
    /// How long the new generations may take to be ready.
    pub(in crate::supervisor) patience: Duration,
}

impl State {
    /// One reload at a time; what is wanted meanwhile is done once more after it.
    pub(super) fn want_reload(&mut self, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Starting | Phase::Serving => self.reload_wanted = true,
            Phase::Stopping { .. } | Phase::Ended => {
                actions.push(Action::NoReload("flupd is stopping".to_owned()));
            }
        }
    }

    pub(super) fn begin_reload(&mut self, plan: ReloadPlan, now: Instant) {
        if !matches!(self.reload, Reload::Preparing) {
            return;
        }
        let ReloadPlan { groups, removed, canaries, patience } = plan;
        let ids = groups.iter().map(|(id, _)| *id).collect();
        for (id, plan) in groups {
            let mut group = Group::new(id, plan, Stage::Trial, now);
            // As many as serve now, as far as there may be.
            let mut before = self.groups.values().filter(|old| old.id.app == id.app);
            let before = before.find(|old| old.stage == Stage::Active).map_or(0, Group::size);
            let more = before.min(plan.workers.max).saturating_sub(group.size());
            group.make_places(more, now);
            self.groups.insert(id, group);
        }
        let deadline = now + patience;
        self.reload = Reload::Trying { groups: ids, removed, canaries, deadline, patience };
    }

    /// Begins a reload that is wanted.
    pub(super) fn begin_wanted(&mut self, actions: &mut Vec<Action>) {
        let free = matches!(self.reload, Reload::None)
            && self.phase == Phase::Serving
            && !self.is_upgrading();
        if free && std::mem::take(&mut self.reload_wanted) {
            self.reload = Reload::Preparing;
            actions.push(Action::Log(Note::Reloading));
            actions.push(Action::PrepareReload);
        }
    }

    /// Ends a reload of which it is known how.
    pub(super) fn settle_reload(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Reload::Trying { groups, deadline, patience, .. } = &self.reload else { return };
        let mut groups = groups.iter().filter_map(|id| self.groups.get(id));
        let failure = groups.clone().find_map(Group::failure).map(str::to_owned);
        if failure.is_none() && groups.all(Group::is_complete) {
            if !self.begin_canary(now, actions) {
                self.switch(None, now, actions);
            }
            return;
        }
        let late = || {
            let seconds = patience.as_secs_f64();
            format!("the new workers were not ready within {seconds} s")
        };
        if let Some(why) = failure.or_else(|| (now >= *deadline).then(late)) {
            self.abandon_reload(&why, now, actions);
        }
    }

    /// The new generations take the requests.
    pub(super) fn switch(&mut self, told: Option<String>, now: Instant, actions: &mut Vec<Action>) {
        let (groups, removed) = match std::mem::replace(&mut self.reload, Reload::None) {
            Reload::Trying { groups, removed, .. }
            | Reload::Comparing(Comparison { groups, removed, .. }) => (groups, removed),
            _ => return,
        };
        actions.push(Action::Switch);
        let grace = self.grace;
        for (id, group) in &mut self.groups {
            let replaced = removed.contains(&id.app) || groups.iter().any(|new| new.app == id.app);
            if groups.contains(id) {
                group.stage = Stage::Active;
                let wanted = group.size();
                group.demand.were_wanted(wanted, now);
            } else if group.stage == Stage::Active && replaced {
                if self.gateway == Gateway::Within {
                    actions.extend(group.workers().map(Action::StopWorker));
                }
                let until = now + group.grace(grace);
                group.leave(until, actions);
            }
        }
        self.reload = Reload::Switching { anew: false, told };
        if self.gateway == Gateway::Within {
            self.gateway_switched(false, actions);
        }
    }

    /// The gateway does what it was told, or was started `anew` with that.
    pub(super) fn gateway_switched(&mut self, by_start: bool, actions: &mut Vec<Action>) {
        if let Reload::Switching { anew, told } = &mut self.reload
            && *anew == by_start
        {
            let told = told.take();
            self.reload = Reload::None;
            Self::reloaded(told, actions);
        }
    }

    fn reloaded(told: Option<String>, actions: &mut Vec<Action>) {
        actions.push(Action::Log(Note::Reloaded));
        actions.push(Action::ReloadDone(told));
    }

    /// The gateway has ended. What it was told already holds for the next one, too.
    pub(super) fn gateway_lost_in_reload(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Reload::Switching { anew, .. } = &mut self.reload {
            *anew = true;
        } else {
            self.abandon_reload("the gateway ended unexpectedly", now, actions);
        }
    }

    /// Nothing has changed, as far as requests can tell.
    pub(super) fn abandon_reload(&mut self, why: &str, now: Instant, actions: &mut Vec<Action>) {
        match std::mem::replace(&mut self.reload, Reload::None) {
            Reload::None => return,
            // It is too late to take that back.
            Reload::Switching { told, .. } => return Self::reloaded(told, actions),
            Reload::Comparing(Comparison { groups, .. }) => {
                actions.push(Action::Tell(ToGateway::CanaryEnds));
                // They have requests, and finish them.
                for id in &groups {
                    if let Some(group) = self.groups.get_mut(id) {
                        let until = now + group.grace(self.grace);
                        group.leave(until, actions);
                    }
                }
            }
            Reload::Preparing => {}
            Reload::Trying { groups, .. } => {
                for id in &groups {
                    if let Some(group) = self.groups.get_mut(id) {
                        group.leave(now, actions);
                        group.kill_workers(|_| true, actions);
                    }
                }
            }
        }
        actions.push(Action::Log(Note::ReloadFailed { error: why.to_owned() }));
        actions.push(Action::ReloadFailed(why.to_owned()));
    }

    /// Ends those that take too long to leave, and forgets those that have gone.
    pub(super) fn see_off(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (id, group) in &mut self.groups {
            if let Stage::Leaving(until) = group.stage
                && until <= now
                && group.workers().next().is_some()
                && !group.is_killed()
            {
                actions.push(Action::LogOf(*id, Note::LeaveCut));
                group.kill_workers(|occupant| !occupant.is_ending(), actions);
            }
        }
        for group in self.groups.values_mut() {
            if let Some(until) = now.checked_sub(group.grace(self.grace)) {
                group.cut_drained(until, actions);
            }
        }
        self.groups.retain(|id, group| {
            let gone = group.is_gone();
            if gone {
                actions.push(Action::Forget(*id));
            }
            !gone
        });
    }

    /// When a reload has no more time.
    pub(super) fn reload_wake_at(&self) -> Option<Instant> {
        match self.reload {
            Reload::Trying { deadline, .. } => Some(deadline),
            Reload::Comparing(_) => self.canary_wake_at(),
            Reload::None | Reload::Preparing | Reload::Switching { .. } => None,
        }
    }
}

impl Group {
    /// Why it can't start.
    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether all its workers are ready.
    pub(super) fn is_complete(&self) -> bool {
        self.places.iter().all(|place| place.occupant.is_ready())
    }

    /// Whether it leaves and everybody has gone.
    fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Leaving(_))
            && self.workers().next().is_none()
            && !self.has_zygote()
    }

    /// Whether all that are left were killed.
    pub(super) fn is_killed(&self) -> bool {
        self.places
            .iter()
            .all(|place| place.occupant.worker().is_none() || place.occupant.is_ending())
    }

    /// Starts nobody more. Who is not ready yet ends at once.
    fn leave(&mut self, until: Instant, actions: &mut Vec<Action>) {
        self.stage = Stage::Leaving(until);
        self.kill_zygote(actions);
        self.kill_workers(|occupant| !occupant.is_ready() && !occupant.is_ending(), actions);
    }

    /// Whether it starts nobody more.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving(_))
    }
}
