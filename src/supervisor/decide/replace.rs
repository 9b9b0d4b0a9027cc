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
use super::group::Group;
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
        let Some(place) = self.place(worker) else { return };
        if place.stay == Stay::Open && matches!(place.occupant, Occupant::Ready(..)) {
            place.stay = Stay::Leaving;
            self.places.push(Place { used: true, ..Place::new(now) });
            actions.push(Action::LogOf(id, Note::WorkerReplaced { worker }));
        }
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

    /// A worker is ready: one that leaves can go.
    pub(super) fn relieve(&mut self, actions: &mut Vec<Action>) {
        let mut leaving = self.places.iter_mut().filter(|place| place.stay == Stay::Leaving);
        if let Some(place) = leaving.next()
            && let Some(worker) = place.occupant.worker()
        {
            place.stay = Stay::Drained;
            actions.push(Action::Tell(ToGateway::WorkerDrain { group: self.id, worker }));
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
