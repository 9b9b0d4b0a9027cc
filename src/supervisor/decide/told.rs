//! What is told of the workers by the supervisor itself, to those who ask what runs:
//! in solo mode there is no gateway that could.

use super::group::Group;
use super::place::{Occupant, Place, Stay};
use super::{Phase, Stage, State};
use crate::config::GroupId;
use crate::observe::snapshot::WorkerState;

/// One generation of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Generation {
    pub(in crate::supervisor) group: GroupId,
    /// Whether it finishes what it has begun.
    pub(in crate::supervisor) draining: bool,
    /// Its workers.
    pub(in crate::supervisor) workers: Vec<(u64, WorkerState)>,
}

impl State {
    /// All generations with their workers.
    pub(in crate::supervisor) fn generations(&self) -> Vec<Generation> {
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        self.groups.values().map(|group| group.listed(stopping)).collect()
    }
}

impl Group {
    fn listed(&self, stopping: bool) -> Generation {
        let draining = matches!(self.stage, Stage::Leaving(_));
        let leaves = draining || stopping;
        let workers = self.places.iter().filter_map(|place| place.told(leaves)).collect();
        Generation { group: self.id, draining, workers }
    }
}

impl Place {
    fn told(&self, leaves: bool) -> Option<(u64, WorkerState)> {
        let state = match self.occupant {
            Occupant::Nobody(_) => return None,
            Occupant::Starting(_) => WorkerState::Starting,
            Occupant::Ending(..) | Occupant::Failed(..) => WorkerState::Leaving,
            Occupant::Ready(..) => match self.stay {
                _ if leaves => WorkerState::Leaving,
                Stay::Drained(_) | Stay::Released => WorkerState::Leaving,
                Stay::Open | Stay::Leaving => WorkerState::Ready,
            },
        };
        Some((self.occupant.worker()?, state))
    }
}
