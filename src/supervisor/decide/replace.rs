//! Workers that others take the place of while they still run.
//!
//! ```text
//! Ready ──worn──▶ leaving: another is started ──that is ready──▶ drained ──▶ ended
//!                    └──────────── spent: killed ────────────────────▶ ended
//! ```
//!
//! Who leaves keeps its place until it has ended; that place then goes, for there
//! is another.

use std::time::{Duration, Instant};

use super::Action;
use super::gateway::Gateway;
use super::group::{Group, Surroundings};
use super::place::{Occupant, Place, Stay};
use super::reload::Stage;
use crate::control::ToGateway;
use crate::supervisor::notes::Note;

impl Group {
    /// This worker shall be replaced: another is started first.
    pub(super) fn worker_worn(&mut self, worker: u64, now: Instant, actions: &mut Vec<Action>) {
        let id = self.id;
        // A generation that leaves gets no more requests anyway.
        if self.stage != Stage::Active {
            return;
        }
        if self.leaves_to_successor(worker, now) {
            actions.push(Action::LogOf(id, Note::WorkerReplaced { worker }));
        }
    }

    /// Makes a place for the successor of a worker that is ready; `false` if there
    /// is one, or the worker is not ready.
    pub(super) fn leaves_to_successor(&mut self, worker: u64, now: Instant) -> bool {
        let Some(place) = self.place(worker) else { return false };
        let leaves = place.stay == Stay::Open && place.occupant.is_ready();
        if leaves {
            place.stay = Stay::Leaving;
            self.places.push(Place { used: true, ..Place::new(now) });
        }
        leaves
    }

    /// Nothing that this worker does will end.
    pub(super) fn worker_spent(&mut self, worker: u64, actions: &mut Vec<Action>) {
        let Some(place) = self.place(worker) else { return };
        if !place.occupant.is_ending() {
            // A request's fault: the next worker need not wait.
            place.occupant = Occupant::Ending(worker, Duration::ZERO);
            actions.push(Action::KillWorker(worker));
        }
    }

    /// A worker is ready: those that leave can go, as long as enough take requests.
    pub(super) fn relieve(&mut self, around: &Surroundings, actions: &mut Vec<Action>) {
        let serves = |place: &&Place| place.occupant.is_ready();
        let stay = |place: &&Place| !matches!(place.stay, Stay::Drained(_) | Stay::Released);
        let serving = self.places.iter().filter(serves).filter(stay).count();
        let spare = serving.saturating_sub(self.size());
        let leaving = self.places.iter_mut().filter_map(|place| match place.occupant {
            Occupant::Ready(worker, _) if place.stay == Stay::Leaving => Some((worker, place)),
            _ => None,
        });
        for (worker, place) in leaving.take(spare) {
            place.stay = Stay::Drained(around.now);
            actions.push(match around.gateway {
                Gateway::Within => Action::StopWorker(worker),
                _ => Action::Tell(ToGateway::WorkerDrain { group: self.id, worker }),
            });
        }
    }

    /// Since when each that is drained has been so.
    pub(super) fn drained_since(&self) -> impl Iterator<Item = Instant> {
        self.places.iter().filter_map(|place| match place.stay {
            Stay::Drained(since) if place.occupant.is_ready() => Some(since),
            _ => None,
        })
    }

    /// Ends those that were drained at this time or before, and are still there.
    pub(super) fn cut_drained(&mut self, until: Instant, actions: &mut Vec<Action>) {
        for place in &mut self.places {
            if let (Stay::Drained(since), Occupant::Ready(worker, _)) = (place.stay, place.occupant)
                && since <= until
            {
                place.occupant = Occupant::Ending(worker, Duration::ZERO);
                actions.push(Action::LogOf(self.id, Note::DrainCut { worker }));
                actions.push(Action::KillWorker(worker));
            }
        }
    }

    /// Places of those who have left go.
    pub(super) fn close_up(&mut self) {
        let left = |place: &Place| {
            place.stay != Stay::Open && matches!(place.occupant, Occupant::Nobody(_))
        };
        self.places.retain(|place| !left(place));
    }
}
