//! Workers come and go as the [demand](super::demand) says.
//!
//! ```text
//! (no place) ──needed──▶ place: filled as any other ──not needed──▶ released ──▶ ended
//! ```
//!
//! Who is released gets no more requests and finishes those that it has, however
//! long they take. With no place left the app *sleeps*: the gateway keeps its
//! requests and tells of them.

use std::time::Instant;

use super::demand::Crew;
use super::gateway::Gateway;
use super::group::{Group, Surroundings};
use super::place::{Occupant, Place, Stay};
use super::reload::Stage;
use super::{Action, Phase, State};
use crate::config::Workers;
use crate::control::{Load, ToGateway};
use crate::supervisor::notes::Note;

impl State {
    /// Has workers come and go as they are needed.
    pub(super) fn follow(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let stopping = self.phase != Phase::Serving;
        let around = Surroundings { last_hope: false, stopping, gateway: self.gateway, now };
        self.groups.values_mut().for_each(|group| group.follow(&around, actions));
    }
}

impl Group {
    /// The places that are there to stay.
    pub(super) fn open(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.stay == Stay::Open)
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.open().count()
    }

    /// The gateway tells how many requests there are.
    pub(super) fn told(&mut self, load: Load, now: Instant) {
        self.demand.told(load, now);
    }

    /// There may be so many workers from now on.
    pub(super) fn scale(&mut self, workers: Workers, actions: &mut Vec<Action>) {
        self.demand.set_workers(workers);
        actions.push(Action::Tell(ToGateway::Workers { group: self.id, workers }));
        actions.push(Action::LogOf(self.id, Note::Scaled { workers }));
    }

    /// Makes room for as many as are wanted now, and lets those go that are too
    /// many, as long as nobody stops.
    pub(super) fn follow(&mut self, around: &Surroundings, actions: &mut Vec<Action>) {
        if self.stage != Stage::Active {
            return;
        }
        let now = around.now;
        let more = self.demand.grow(self.crew(), now);
        if more > 0 && self.has_started() && !self.demand.workers().is_fixed() {
            let workers = self.size() + more;
            actions.push(Action::LogOf(self.id, Note::MoreWorkers { more, workers }));
        }
        self.make_places(more, now);
        if !around.stopping {
            self.shrink(around, actions);
        }
        let nobody = self.size() == 0;
        if nobody && !std::mem::replace(&mut self.sleeps, nobody) {
            actions.push(Action::LogOf(self.id, Note::Sleeps));
            self.tell_sleep(around.gateway, actions);
        }
        self.sleeps = nobody;
    }

    /// Makes so many places.
    pub(super) fn make_places(&mut self, more: usize, now: Instant) {
        self.places.extend(std::iter::repeat_with(|| Place::new(now)).take(more));
    }

    /// The gateway shall keep the requests until a worker is there.
    pub(super) fn tell_sleep(&self, gateway: Gateway, actions: &mut Vec<Action>) {
        if self.sleeps && !self.preload_fails && gateway.is_alive() {
            actions.push(Action::Tell(ToGateway::AppSleeps { group: self.id }));
        }
    }

    /// When more are to come, or one may leave, if that can be now.
    pub(super) fn next_change(&self, serves: bool) -> Option<Instant> {
        let crew = self.crew();
        let leaver = self.leaver(false).filter(|_| serves);
        let leave = leaver.and_then(|_| self.demand.next_leave(crew.places));
        self.demand.next_step(crew).into_iter().chain(leave).min()
    }

    fn crew(&self) -> Crew {
        let mut crew = Crew::default();
        for place in &self.places {
            match (place.stay, place.occupant) {
                (Stay::Open, Occupant::Starting(_)) => crew.starting += 1,
                (Stay::Open, Occupant::Ready(..)) => {}
                (Stay::Open, _) if place.is_used() => crew.failing += 1,
                (Stay::Open, _) => crew.starting += 1,
                (Stay::Released, _) => {
                    crew.leaving += 1;
                    continue;
                }
                (Stay::Leaving | Stay::Drained(_), _) => continue,
            }
            crew.places += 1;
        }
        crew
    }

    fn shrink(&mut self, around: &Surroundings, actions: &mut Vec<Action>) {
        // Those that are over the limit need not be idle.
        while self.demand.excess(self.size()) > 0
            && let Some(at) = self.leaver(true)
        {
            self.release(at, around, actions);
        }
        while let Some(due) = self.demand.next_leave(self.size())
            && due <= around.now
            && let Some(at) = self.leaver(false)
        {
            self.release(at, around, actions);
        }
    }

    /// Which place goes first: one in which nobody is, else that of the worker that
    /// has had nothing to do for longest; with `any`, else that of the newest.
    fn leaver(&self, any: bool) -> Option<usize> {
        let open = self.places.iter().enumerate().filter(|(_, place)| place.stay == Stay::Open);
        let ready = open.clone().filter_map(|(at, place)| match place.occupant {
            Occupant::Ready(worker, _) => Some((worker, at)),
            _ => None,
        });
        let mut empty = open.filter(|(_, place)| place.occupant.worker().is_none());
        let idlest = || ready.clone().find(|(worker, _)| self.demand.idlest() == Some(*worker));
        let newest = || ready.clone().max().filter(|_| any);
        let empty = empty.next().map(|(at, _)| at);
        empty.or_else(|| idlest().or_else(newest).map(|(_, at)| at))
    }

    fn release(&mut self, at: usize, around: &Surroundings, actions: &mut Vec<Action>) {
        let Some(place) = self.places.get_mut(at) else { return };
        let Some(worker) = place.occupant.worker() else {
            self.places.swap_remove(at);
            return;
        };
        place.stay = Stay::Released;
        self.demand.one_leaves(around.now);
        let workers = self.size();
        actions.push(Action::LogOf(self.id, Note::WorkerReleased { worker, workers }));
        actions.push(match around.gateway {
            Gateway::Within => Action::StopWorker(worker),
            _ => Action::Tell(ToGateway::WorkerDrain { group: self.id, worker }),
        });
    }
}
