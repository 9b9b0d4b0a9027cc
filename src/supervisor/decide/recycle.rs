//! Workers that are replaced although nothing is wrong with them: they have run
//! so many requests, are so old or have grown so large.
//!
//! Who is due waits for its turn: at most a quarter of the workers leave at the
//! same time. How they leave is told in [`super::replace`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::gateway::Gateway;
use super::group::Group;
use super::place::{Occupant, Place, Stay};
use super::reload::Stage;
use super::{Action, Phase, State};
use crate::jitter::jitter;
use crate::supervisor::notes::Note;

/// An app that is too large as soon as it is imported shall not be imported all
/// the time.
const SETTLING: Duration = Duration::from_secs(5);

/// Why a worker is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Due {
    /// It has run as many requests as it may.
    Requests,
    /// It is as old as it may be.
    Age,
    /// It has so much resident memory, in bytes.
    Memory(u64),
    /// It was ordered.
    Ordered,
}

impl State {
    /// The workers whose memory is of interest.
    pub(in crate::supervisor) fn weighed(&self) -> impl Iterator<Item = u64> {
        let groups = self.groups.values().filter(|group| group.plan.max_memory.is_some());
        groups.flat_map(|group| group.places.iter().filter(|place| place.is_open())).filter_map(
            |place| match place.occupant {
                Occupant::Ready(worker, _) => Some(worker),
                _ => None,
            },
        )
    }

    /// How much resident memory workers have, in bytes.
    pub(super) fn weigh(&mut self, sizes: &BTreeMap<u64, u64>, now: Instant) {
        self.groups.values_mut().for_each(|group| group.weigh(sizes, now));
    }

    /// Has those replaced that are due.
    pub(super) fn recycle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let serves = self.phase == Phase::Serving
            && matches!(self.gateway, Gateway::Listening(_) | Gateway::Within);
        for group in self.groups.values_mut() {
            group.ripen(now);
            group.heed_restart();
            if serves && group.stage == Stage::Active {
                group.recycle(now, actions);
            }
        }
    }
}

impl Group {
    /// This worker is to be replaced when it is its turn.
    pub(super) fn worker_due(&mut self, worker: u64, why: Due) {
        if let Some(place) = self.place(worker)
            && place.is_open()
        {
            place.due = Some(why);
        }
    }

    /// When the next worker is too old.
    pub(super) fn next_birthday(&self) -> Option<Instant> {
        self.places.iter().filter(|place| place.is_open()).filter_map(|p| self.age_limit(p)).min()
    }

    /// When who is here is too old.
    fn age_limit(&self, place: &Place) -> Option<Instant> {
        let (Some(age), Occupant::Ready(worker, since)) = (self.plan.max_age, place.occupant)
        else {
            return None;
        };
        let tenth = u64::try_from(age.as_millis() / 10).unwrap_or(u64::MAX);
        Some(since + age.saturating_sub(Duration::from_millis(jitter(worker, tenth))))
    }

    /// Those that are too old are due.
    fn ripen(&mut self, now: Instant) {
        let old = |place: &&Place| {
            place.is_open() && self.age_limit(place).is_some_and(|limit| limit <= now)
        };
        let old: Vec<u64> =
            self.places.iter().filter(old).filter_map(|place| place.occupant.worker()).collect();
        old.into_iter().for_each(|worker| self.worker_due(worker, Due::Age));
    }

    fn weigh(&mut self, sizes: &BTreeMap<u64, u64>, now: Instant) {
        let Some(most) = self.plan.max_memory else { return };
        for place in self.places.iter_mut().filter(|place| place.is_open()) {
            if let Occupant::Ready(worker, since) = place.occupant
                && let Some(&bytes) = sizes.get(&worker)
                && bytes > most
                && since + SETTLING <= now
            {
                place.due = Some(Due::Memory(bytes));
            }
        }
    }

    /// Whose turn it is leaves to its successor; who has been there longest is
    /// first.
    fn recycle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let turns = (self.size() / 4).max(1);
        let leaving = |place: &&Place| matches!(place.stay, Stay::Leaving | Stay::Drained(_));
        while self.places.iter().filter(leaving).count() < turns {
            let due = self.places.iter().filter(|place| place.stay == Stay::Open);
            let due = due.filter_map(|place| Some((place.due?, place.occupant)));
            let ready = due.filter_map(|(why, occupant)| match occupant {
                Occupant::Ready(worker, _) => Some((worker, why)),
                _ => None,
            });
            let Some((worker, why)) = ready.min_by_key(|(worker, _)| *worker) else { return };
            if !self.leaves_to_successor(worker, now) {
                return;
            }
            actions.push(Action::LogOf(self.id, Note::WorkerRecycled { worker, why }));
        }
    }
}

impl Place {
    /// Whether its worker is ready, and nobody has said that it shall leave.
    const fn is_open(&self) -> bool {
        matches!((self.stay, self.due), (Stay::Open, None)) && self.occupant.is_ready()
    }
}
