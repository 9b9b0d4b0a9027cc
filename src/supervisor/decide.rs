//! What to do: (state, event, now) → actions. Pure: no process, no socket, no
//! clock. The loop in [`super`] carries the actions out.
//!
//! ```text
//!            every app has started,         signal                    gateway and
//!            gateway listens                                          workers ended
//! Starting ─────────────────▶ Serving ─────────────▶ Stopping ─────────────────▶ Ended
//!    │ └──────── signal ─────────────────────────────▶ │
//!    └── no app can start, or the gateway ends ▶ Ended └── deadline, 2nd signal ─▶ Ended
//! ```
//!
//! Here stands what is there once: the phase and the [`gateway`]. What each app has, its
//! workers and its zygote, is a [`group`].

mod action;
mod canary;
mod crew;
mod demand;
mod event;
mod gateway;
mod group;
mod place;
mod proof;
mod recycle;
mod reload;
mod replace;
mod restart;
mod teller;
mod told;
mod upgrade;
mod verdict;
mod watch;
mod zygote;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) use self::action::Action;
pub(super) use self::canary::Compared;
pub(super) use self::event::Event;
use self::gateway::Gateway;
pub(super) use self::group::Plan;
use self::group::{Group, Surroundings};
pub(super) use self::recycle::Due;
pub(super) use self::reload::ReloadPlan;
use self::reload::{Reload, Stage};
use self::teller::Teller;
pub(super) use self::told::Generation;
use self::upgrade::{Proof, Upgrade};
use self::watch::Watch;
use super::backoff::Backoff;
use super::notes::Note;
use crate::config::GroupId;
use crate::control::ToGateway;

/// All that decisions depend on.
#[derive(Debug)]
pub(super) struct State {
    grace: Duration,
    phase: Phase,
    gateway: Gateway,
    gateway_backoff: Backoff,
    groups: BTreeMap<GroupId, Group>,
    reload: Reload,
    /// Whether another one is wanted after it.
    reload_wanted: bool,
    upgrade: Upgrade,
    upgrade_wanted: bool,
    proof: Proof,
    watch: Option<Watch>,
    teller: Teller,
    last_worker: u64,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Stopping { deadline: Instant },
    Ended,
}

impl State {
    /// Nothing runs yet; the first [`Event::Tick`] starts everything. With
    /// `solo` there is no gateway: the workers serve connections themselves.
    pub(super) fn new(
        plans: impl IntoIterator<Item = (GroupId, Plan)>,
        solo: bool,
        grace: Duration,
        now: Instant,
    ) -> Self {
        let groups =
            plans.into_iter().map(|(id, plan)| (id, Group::new(id, plan, Stage::Active, now)));
        Self {
            grace,
            phase: Phase::Starting,
            gateway: if solo { Gateway::Within } else { Gateway::Down(now) },
            gateway_backoff: Backoff::default(),
            groups: groups.collect(),
            reload: Reload::None,
            reload_wanted: false,
            upgrade: Upgrade::None,
            upgrade_wanted: false,
            proof: Proof::Unneeded,
            watch: None,
            teller: Teller::default(),
            last_worker: 0,
        }
    }

    /// When a [`Event::Tick`] is wanted next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let deadline = match self.phase {
            Phase::Stopping { deadline } => Some(deadline),
            _ => None,
        };
        let starts = match self.gateway {
            Gateway::Down(at) => Some(at),
            Gateway::Gone => None,
            Gateway::Within if deadline.is_some() => None,
            Gateway::Starting | Gateway::Listening(_) | Gateway::Within => {
                let serves = self.phase == Phase::Serving;
                self.groups.values().filter_map(|group| group.wake_at(serves)).min()
            }
        };
        let drained = self.groups.values().flat_map(|group| {
            let grace = group.grace(self.grace);
            group.drained_since().map(move |since| since + grace)
        });
        let drained = drained.min();
        let orders = [self.reload_wake_at(), self.upgrade_wake_at(), self.watch_wake_at()];
        let teller = self.teller.wake_at().filter(|_| deadline.is_none());
        [deadline, starts, drained, teller].into_iter().chain(orders).flatten().min()
    }

    /// Takes one event in and says what to do.
    pub(super) fn decide(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Ended {
            return actions;
        }
        match event {
            Event::Tick => {}
            Event::ZygoteReady { group, app, python, threads } => {
                self.group(group, now, &mut actions, |group, around, actions| {
                    group.zygote_ready(app, python, threads, around, actions);
                });
            }
            Event::ZygoteFailed { group, error } => {
                self.group(group, now, &mut actions, |group, around, actions| {
                    group.zygote_failed(error, around, actions);
                });
            }
            Event::ZygoteExited { group, cause } => {
                self.group(group, now, &mut actions, |group, around, actions| {
                    group.zygote_exited(&cause, around, actions);
                });
            }
            Event::WorkerForked { worker, pid } => {
                self.worker(worker, now, &mut actions, |group, _, actions| {
                    group.worker_forked(worker, pid, actions);
                });
            }
            Event::WorkerReady { worker, app, python } => {
                self.worker(worker, now, &mut actions, |group, around, actions| {
                    group.worker_started(worker, app, python, around, actions);
                });
            }
            Event::WorkerProved { worker, failure } => {
                self.worker(worker, now, &mut actions, |group, around, actions| {
                    group.worker_proved(worker, failure, around, actions);
                });
            }
            Event::WorkerFailed { worker, error } => {
                self.worker(worker, now, &mut actions, |group, around, actions| {
                    group.worker_failed(worker, error, around, actions);
                });
            }
            Event::StatusAsked { question, what } => actions.push(Action::Answer(question, what)),
            Event::TellerExited { cause } => self.teller_exited(&cause, now, &mut actions),
            Event::Canary(figures) => self.canary_figures(*figures, now, &mut actions),
            Event::WorkerExited { worker, cause } => {
                self.count_crash(worker, Some(&cause));
                self.worker(worker, now, &mut actions, |group, around, actions| {
                    group.worker_exited(worker, &cause, around, actions);
                });
            }
            Event::WorkerBroken { worker, reason } => {
                self.count_crash(worker, None);
                self.worker(worker, now, &mut actions, |group, _, actions| {
                    group.worker_broken(worker, reason, now, actions);
                });
            }
            Event::WorkerWorn { worker } => {
                self.worker(worker, now, &mut actions, |group, _, actions| {
                    group.worker_worn(worker, now, actions);
                });
            }
            Event::WorkerSpent { worker } => {
                self.worker(worker, now, &mut actions, |group, _, actions| {
                    group.worker_spent(worker, actions);
                });
            }
            Event::WorkerDue { worker, why } => {
                self.worker(worker, now, &mut actions, |group, _, _| group.worker_due(worker, why));
            }
            Event::Load { group, load } => {
                self.group(group, now, &mut actions, |group, _, _| group.told(load, now));
            }
            Event::Scale { group, workers } => {
                self.group(group, now, &mut actions, |group, _, actions| {
                    group.scale(workers, actions);
                });
            }
            Event::Restart(groups) => self.restart(&groups, now, &mut actions),
            Event::Weighed(sizes) => self.weigh(&sizes, now),
            Event::GatewayListens => self.gateway_listens(now, &mut actions),
            Event::GatewaySwitched => self.gateway_switched(false, &mut actions),
            Event::GatewayClosed => actions.push(Action::UpgradeDone),
            Event::GatewayAnswers => self.gateway_answers(),
            Event::GatewayExited { cause } => self.gateway_exited(&cause, now, &mut actions),
            Event::ReloadWanted => self.want_reload(&mut actions),
            Event::Reload(plan) => self.begin_reload(plan, now),
            Event::ReloadImpossible(why) => self.abandon_reload(&why, now, &mut actions),
            Event::UpgradeWanted => self.want_upgrade(&mut actions),
            Event::SuccessorReady => self.successor_ready(now, &mut actions),
            Event::SuccessorTook => self.successor_took(now, &mut actions),
            Event::SuccessorEnded { why } => self.successor_ended(&why, &mut actions),
            Event::TakeOver => self.take_over(&mut actions),
            Event::ElderGone => self.elder_gone(&mut actions),
            Event::Stop if matches!(self.phase, Phase::Stopping { .. }) => {}
            Event::Signal | Event::Stop => self.signal(now, &mut actions),
            Event::Told { question, snapshot } => actions.push(Action::PassOn(question, snapshot)),
            Event::ReopenLogs => actions.push(Action::ReopenLogs),
        }
        self.settle_reload(now, &mut actions);
        self.settle_upgrade(now, &mut actions);
        self.look_at_gateway(now, &mut actions);
        self.settle_canary(now, &mut actions);
        self.settle_restarts(now, &mut actions);
        self.see_off(now, &mut actions);
        self.prove(&mut actions);
        self.announce(&mut actions);
        self.begin_upgrade(now, &mut actions);
        self.begin_wanted(&mut actions);
        self.recycle(now, &mut actions);
        self.follow(now, &mut actions);
        self.fill(now, &mut actions);
        self.finish(now, &mut actions);
        actions
    }

    /// Has a group decide over its own. If it can't start and nobody else can,
    /// all is over.
    fn group(
        &mut self,
        id: GroupId,
        now: Instant,
        actions: &mut Vec<Action>,
        decide: impl FnOnce(&mut Group, &Surroundings, &mut Vec<Action>),
    ) {
        let mut others = self.groups.iter().filter(|(other, _)| **other != id);
        let last_hope =
            self.phase == Phase::Starting && others.all(|(_, group)| group.has_failed());
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        let around = Surroundings { last_hope, stopping, gateway: self.gateway, now };
        let Some(group) = self.groups.get_mut(&id) else { return };
        decide(group, &around, actions);
        if last_hope && group.has_failed() {
            self.give_up(actions);
        }
    }

    /// The same for the group of a worker.
    fn worker(
        &mut self,
        worker: u64,
        now: Instant,
        actions: &mut Vec<Action>,
        decide: impl FnOnce(&mut Group, &Surroundings, &mut Vec<Action>),
    ) {
        let group = self.groups.values().find(|group| group.has(worker)).map(Group::id);
        if let Some(id) = group {
            self.group(id, now, actions, decide);
        }
    }

    fn signal(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Stopping { .. } = self.phase {
            if !self.is_meant_for_successor() {
                actions.push(Action::Log(Note::StoppedAtOnce));
                self.give_up(actions);
            }
            return;
        }
        self.abandon_reload("flupd is stopping", now, actions);
        actions.push(Action::NoReload("flupd is stopping".to_owned()));
        self.successor_ended("flupd is stopping", actions);
        actions.push(Action::Log(Note::Stopping { grace: self.longest_grace() }));
        self.stop(now, actions);
    }

    /// How long the requests of all apps may take when flupd ends: they end together.
    fn longest_grace(&self) -> Duration {
        let graces = self.groups.values().map(|group| group.grace(self.grace));
        graces.max().unwrap_or(self.grace)
    }

    /// Accepts no more, and finishes what was begun.
    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.phase = Phase::Stopping { deadline: now + self.longest_grace() };
        actions.push(Action::CloseListeners);
        match self.gateway {
            Gateway::Starting | Gateway::Listening(_) => {
                actions.push(Action::Tell(ToGateway::Stop));
            }
            Gateway::Down(_) | Gateway::Gone => self.gateway = Gateway::Gone,
            Gateway::Within => {
                let workers = self.groups.values().flat_map(Group::workers);
                actions.extend(workers.map(Action::StopWorker));
            }
        }
    }

    /// Says once that all is well: each app has a worker that is ready, or has
    /// failed while others have not.
    fn announce(&mut self, actions: &mut Vec<Action>) {
        let listens = matches!(self.gateway, Gateway::Listening(_) | Gateway::Within);
        if self.phase == Phase::Starting
            && self.proof == Proof::Unneeded
            && listens
            && self.groups.values().all(Group::has_started)
            && self.groups.values().any(|group| !group.has_failed())
        {
            self.phase = Phase::Serving;
            actions.push(Action::Log(Note::Ready));
        }
    }

    /// Starts what is missing and due. While the gateway drains, the pools are
    /// kept whole: requests that wait need someone to run them.
    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.fill_teller(now, actions);
        match self.gateway {
            Gateway::Down(at) if at <= now => {
                self.gateway = Gateway::Starting;
                actions.push(Action::SpawnGateway);
            }
            Gateway::Down(_) | Gateway::Gone => return,
            // Nobody accepts for a new worker: the sockets are closed.
            Gateway::Within if matches!(self.phase, Phase::Stopping { .. }) => return,
            Gateway::Starting | Gateway::Listening(_) | Gateway::Within => {}
        }
        for group in self.groups.values_mut() {
            group.fill(&mut self.last_worker, now, actions);
        }
    }

    /// Ends when there is nothing left to wait for, or no time.
    fn finish(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::Stopping { deadline } = self.phase else { return };
        let workers = self.groups.values().flat_map(Group::workers).count();
        let gateway = !matches!(self.gateway, Gateway::Gone | Gateway::Within);
        if gateway || workers > 0 {
            if now < deadline {
                return;
            }
            actions.push(Action::Log(Note::Cut { gateway, workers }));
            self.kill_all(actions);
        } else {
            self.groups.values_mut().for_each(|group| group.kill_zygote(actions));
        }
        self.phase = Phase::Ended;
        actions.push(Action::Log(Note::Stopped));
        actions.push(Action::Exit(0));
    }

    /// Ends everything at once, with a failure.
    fn give_up(&mut self, actions: &mut Vec<Action>) {
        let why = self.groups.values().find_map(|group| group.failure.clone());
        self.refuse(why.unwrap_or_else(|| "it could not start; its log says why".into()), actions);
        self.kill_all(actions);
        self.phase = Phase::Ended;
        self.gateway = Gateway::Gone;
        actions.push(Action::CloseListeners);
        actions.push(Action::Log(Note::Stopped));
        actions.push(Action::Exit(1));
    }

    fn kill_all(&mut self, actions: &mut Vec<Action>) {
        if self.gateway.is_alive() {
            actions.push(Action::KillGateway);
        }
        for group in self.groups.values_mut() {
            group.kill_zygote(actions);
            group.kill_workers(|_| true, actions);
        }
    }
}

#[cfg(test)]
mod tests;
