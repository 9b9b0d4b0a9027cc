//! `flupd restart`: all workers of a generation are replaced, one after the other.
//!
//! The configuration is not read, and there is no second generation: each worker
//! that was there when it was ordered is [due](super::recycle), and leaves when
//! another is ready. A zygote is replaced first, for it has the old code. If a new
//! worker can't start, the rest goes on as before.

use std::time::{Duration, Instant};

use super::group::Group;
use super::place::{Occupant, Place, Stay};
use super::recycle::Due;
use super::reload::Stage;
use super::zygote::Zygote;
use super::{Action, Phase, State};
use crate::config::GroupId;
use crate::supervisor::notes::Note;

/// How long the next worker, or the zygote, may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A restart that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restart {
    /// The newest worker that shall be replaced.
    through: u64,
    deadline: Instant,
}

impl State {
    /// Replaces the workers of these generations.
    pub(super) fn restart(&mut self, groups: &[GroupId], now: Instant, actions: &mut Vec<Action>) {
        for id in groups {
            match self.groups.get_mut(id) {
                Some(group) => group.begin_restart(self.last_worker, now, actions),
                None => {
                    let why = "the app is being started; ask again".to_owned();
                    actions.push(Action::Restarted(*id, Some(why)));
                }
            }
        }
    }

    /// Ends the restarts of which it is known how.
    pub(super) fn settle_restarts(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let stopping = !matches!(self.phase, Phase::Starting | Phase::Serving);
        for group in self.groups.values_mut() {
            let Some(restart) = group.restart else { continue };
            let why = if stopping {
                Some("flupd is stopping".to_owned())
            } else if group.stage != Stage::Active || group.is_renewed(restart) {
                None
            } else if let Some(failure) = &group.failure {
                Some(failure.clone())
            } else if restart.deadline <= now {
                let seconds = PATIENCE.as_secs();
                Some(format!("the next worker was not ready within {seconds} s"))
            } else {
                continue;
            };
            group.end_restart(restart, why.as_deref(), actions);
            actions.push(Action::Restarted(group.id, why));
        }
    }
}

impl Group {
    fn begin_restart(&mut self, last: u64, now: Instant, actions: &mut Vec<Action>) {
        self.restart = Some(Restart { through: last, deadline: now + PATIENCE });
        actions.push(Action::LogOf(self.id, Note::Restarting));
        // What could not start is tried again at once.
        self.failure = None;
        for place in &mut self.places {
            if let Occupant::Nobody(at) = &mut place.occupant {
                *at = now;
            }
        }
        match self.zygote {
            Zygote::Unused => {}
            Zygote::Down(_) => self.zygote = Zygote::Down(now),
            Zygote::Ending(_) => self.zygote = Zygote::Ending(Duration::ZERO),
            Zygote::Starting | Zygote::Ready(_) => self.kill_zygote(actions),
        }
    }

    /// Something of a restart is done: the next has as much time.
    pub(super) fn restart_goes_on(&mut self, now: Instant) {
        if let Some(restart) = &mut self.restart {
            restart.deadline = now + PATIENCE;
        }
    }

    /// When a restart has no more time.
    pub(super) fn restart_deadline(&self) -> Option<Instant> {
        self.restart.map(|restart| restart.deadline)
    }

    /// Those that a restart shall replace are due, once there is who can start others.
    pub(super) fn heed_restart(&mut self) {
        let Some(restart) = self.restart else { return };
        if !matches!(self.zygote, Zygote::Unused | Zygote::Ready(_)) {
            return;
        }
        for place in &mut self.places {
            if place.stay == Stay::Open && restart.is_about(place) && place.due.is_none() {
                place.due = Some(Due::Ordered);
            }
        }
    }

    /// Whether all workers are ready, and none was there before.
    fn is_renewed(&self, restart: Restart) -> bool {
        let zygote = matches!(self.zygote, Zygote::Unused | Zygote::Ready(_));
        let mut leaving = self.places.iter().filter(|place| place.stay == Stay::Leaving);
        zygote
            && self.open().all(|place| place.occupant.is_ready() && !restart.is_about(place))
            && !leaving.any(|place| restart.is_about(place))
    }

    fn end_restart(&mut self, restart: Restart, why: Option<&str>, actions: &mut Vec<Action>) {
        self.restart = None;
        let Some(why) = why else {
            actions.push(Action::LogOf(self.id, Note::Restarted));
            return;
        };
        actions.push(Action::LogOf(self.id, Note::RestartFailed { error: why.to_owned() }));
        let mut stay = 0;
        for place in self.places.iter_mut().filter(|place| restart.is_about(place)) {
            if place.due == Some(Due::Ordered) {
                place.due = None;
                stay += usize::from(place.stay == Stay::Leaving);
                if place.stay == Stay::Leaving {
                    place.stay = Stay::Open;
                }
            }
        }
        // As many others are not wanted.
        let others = self
            .places
            .iter_mut()
            .filter(|place| place.stay == Stay::Open && !place.occupant.is_ready());
        for place in others.take(stay) {
            place.stay = Stay::Released;
            if let Occupant::Starting(worker) = place.occupant {
                place.occupant = Occupant::Ending(worker, Duration::ZERO);
                actions.push(Action::KillWorker(worker));
            }
        }
        self.close_up();
    }
}

impl Restart {
    /// Whether the worker that is here was there when it was ordered.
    fn is_about(self, place: &Place) -> bool {
        place.occupant.worker().is_some_and(|worker| worker <= self.through)
    }
}
