//! The part of the decisions that is about the probe: a request that a worker
//! which has imported the app must answer before it gets those of clients.
//!
//! It is asked of workers whose generation takes no requests yet: each one at a
//! reload; at the first start those that are ready before one has passed. A
//! worker that comes later into a generation that has shown what it can is not
//! asked: what fails then, a database, would fail in its siblings as well, and
//! fewer workers would not mend it.

use super::Action;
use super::group::{Group, Surroundings};
use super::place::Occupant;
use super::reload::Stage;
use crate::supervisor::notes::Note;

/// A worker of which an answer is awaited, and what it has said at its start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    worker: u64,
    app: String,
    python: String,
}

impl Group {
    /// A worker has imported the app.
    pub(super) fn worker_started(
        &mut self,
        worker: u64,
        app: String,
        python: String,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let new_code = self.stage == Stage::Trial || self.restart.is_some();
        let asks = self.plan.probe && (new_code || !self.is_proven());
        if !asks {
            return self.worker_ready(worker, app, python, around, actions);
        }
        let id = self.id;
        let Some(place) = self.place(worker) else { return };
        let known = place.asked.as_ref().is_some_and(|asked| asked.worker == worker);
        if place.occupant == Occupant::Starting(worker) && !known {
            place.asked = Some(Asked { worker, app, python });
            actions.push(Action::Prove(id, worker));
        }
    }

    /// A worker has answered the probe, well or not.
    pub(super) fn worker_proved(
        &mut self,
        worker: u64,
        failure: Option<String>,
        around: &Surroundings,
        actions: &mut Vec<Action>,
    ) {
        let Some(place) = self.place(worker) else { return };
        let Some(asked) = place.asked.take_if(|asked| asked.worker == worker) else { return };
        match failure {
            None => self.worker_ready(worker, asked.app, asked.python, around, actions),
            Some(error) => {
                self.worker_unfit(worker, &error, around, actions, |again_in| Note::ProbeFailed {
                    worker,
                    error: error.clone(),
                    again_in,
                });
            }
        }
    }
}
