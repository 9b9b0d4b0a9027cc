//! The part of the decisions that is about a canary: for some time the new
//! generations get a share of the requests, and are compared with the old ones.
//!
//! ```text
//!          all ready                 the time is over, nothing is worse
//! Trying ─────────────▶ Comparing ─────────────────────────────────────▶ Switching
//!                           └── something is worse, or a stop, or the gateway ends: the
//!                               new generations get no more requests, and leave
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::place::{Occupant, Stay};
use super::reload::{Reload, Stage};
use super::verdict::{Side, worse};
use super::{Action, State};
use crate::config::{AppId, Canary, GroupId, Share};
use crate::control::ToGateway;
use crate::observe::figures::Figures;
use crate::supervisor::cause::Cause;
use crate::supervisor::notes::Note;

/// How long the gateway may take to send its last figures.
const LAST_FIGURES: Duration = Duration::from_secs(3);

/// New generations beside the old ones.
#[derive(Debug)]
pub(super) struct Comparison {
    /// All new generations.
    pub(super) groups: Vec<GroupId>,
    /// The apps that are there no more.
    pub(super) removed: Vec<AppId>,
    until: Instant,
    sides: BTreeMap<AppId, Sides>,
}

/// An app of which two generations are to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Compared {
    /// What it is called, where there can be several.
    pub(in crate::supervisor) name: Option<String>,
    pub(in crate::supervisor) canary: Canary,
}

/// How the two generations of an app do.
#[derive(Debug, Default)]
struct Sides {
    name: Option<String>,
    old: Side,
    new: Side,
}

impl State {
    /// Begins to compare, if that is wanted of one of these groups.
    pub(super) fn begin_canary(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Reload::Trying { groups, removed, canaries, .. } = &mut self.reload else {
            return false;
        };
        let Some(time) = canaries.values().map(|compared| compared.canary.time).max() else {
            return false;
        };
        let canaries = std::mem::take(canaries);
        let comparison = Comparison {
            groups: std::mem::take(groups),
            removed: std::mem::take(removed),
            until: now + time,
            sides: canaries.iter().map(|(id, one)| (id.app, Sides::of(one))).collect(),
        };
        self.reload = Reload::Comparing(comparison);
        let groups: Vec<(GroupId, Share)> =
            canaries.iter().map(|(id, one)| (*id, one.canary.share)).collect();
        for (id, share) in &groups {
            actions.push(Action::LogOf(*id, Note::CanaryBegun { share: *share, time }));
        }
        actions.push(Action::Tell(ToGateway::CanaryBegins { groups }));
        true
    }

    /// The gateway tells how the generations of an app do.
    pub(super) fn canary_figures(
        &mut self,
        (app, old, new): (AppId, Figures, Figures),
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Reload::Comparing(comparison) = &mut self.reload else { return };
        let is_last = comparison.sides.keys().next_back() == Some(&app);
        let Some(sides) = comparison.sides.get_mut(&app) else { return };
        (sides.old.figures, sides.new.figures) = (old, new);
        // They come for one app after the other.
        if is_last {
            let is_over = now >= comparison.until;
            self.judge(is_over, now, actions);
        }
    }

    /// A worker has ended, or is about to: counts it if it was not to.
    pub(super) fn count_crash(&mut self, worker: u64, cause: Option<&Cause>) {
        let Reload::Comparing(comparison) = &mut self.reload else { return };
        let Some(group) = self.groups.values().find(|group| group.has(worker)) else { return };
        let Some(sides) = comparison.sides.get_mut(&group.id.app) else { return };
        let is_success = cause.is_some_and(Cause::is_success);
        let crashed = group.places.iter().any(|place| match place.occupant {
            Occupant::Ready(one, _) if one == worker => {
                !(is_success && matches!(place.stay, Stay::Drained(_) | Stay::Released))
            }
            _ => false,
        });
        let side = match group.stage {
            Stage::Trial => &mut sides.new,
            Stage::Active => &mut sides.old,
            Stage::Leaving(_) => return,
        };
        side.crashes += u64::from(crashed);
    }

    /// Looks whether a comparison has come to an end.
    pub(super) fn settle_canary(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Reload::Comparing(Comparison { groups, until, .. }) = &self.reload else { return };
        let failure = groups.iter().find_map(|id| self.groups.get(id)?.failure.clone());
        if let Some(why) = failure {
            return self.abandon_reload(&why, now, actions);
        }
        let silent = now >= *until + LAST_FIGURES;
        self.judge(silent, now, actions);
    }

    fn judge(&mut self, is_over: bool, now: Instant, actions: &mut Vec<Action>) {
        let Reload::Comparing(comparison) = &self.reload else { return };
        let worse = comparison.sides.iter().find_map(|(app, sides)| {
            Some((*app, worse(&sides.old, &sides.new, is_over)?, sides.to_string()))
        });
        if let Some((app, what, figures)) = worse {
            let group = comparison.groups.iter().find(|group| group.app == app);
            if let Some(group) = group {
                let (what, figures) = (what.to_owned(), figures.clone());
                actions.push(Action::LogOf(*group, Note::CanaryFailed { what, figures }));
            }
            let why = format!("the new generation was taken back: {what}\n{figures}");
            return self.abandon_reload(&why, now, actions);
        }
        if is_over {
            let mut told = String::from("the new generation is no worse, and takes over");
            for (app, sides) in &comparison.sides {
                // Writing to a text does not fail.
                let _ = write!(told, "\n{sides}");
                let group = comparison.groups.iter().find(|group| group.app == *app);
                let passed = |group: &GroupId| {
                    Action::LogOf(*group, Note::CanaryPassed { figures: sides.to_string() })
                };
                actions.extend(group.map(passed));
            }
            self.switch(Some(told), now, actions);
        }
    }

    /// When a comparison has to end.
    pub(super) fn canary_wake_at(&self) -> Option<Instant> {
        match &self.reload {
            Reload::Comparing(comparison) => Some(comparison.until + LAST_FIGURES),
            _ => None,
        }
    }
}

impl Sides {
    /// Nothing is known yet.
    fn of(compared: &Compared) -> Self {
        Self { name: compared.name.clone(), ..Self::default() }
    }
}

impl std::fmt::Display for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            writeln!(f, "{name}")?;
        }
        write!(f, "  new: {}\n  old: {}", self.new, self.old)
    }
}
