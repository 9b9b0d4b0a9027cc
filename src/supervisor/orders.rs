//! What an administrator orders, and when to say what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Supervisor;
use super::admin::Ordered;
use super::decide::Event;
use super::limits::OpenFiles;
use super::restarts::Restarts;
use crate::admin::{Order, Outcome};
use crate::config::{AppId, Canary, GroupId};
use crate::control::ToGateway;
use crate::observe::log;
use crate::observe::snapshot::Snapshot;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// For the reload that comes next, and of which app it shall be.
    next: Vec<(Scope, Option<oneshot::Sender<Outcome>>)>,
    /// How it shall begin, if that was said; by who has asked last.
    pub(super) canary: Option<Canary>,
    /// For the one that goes on.
    reload: Vec<oneshot::Sender<Outcome>>,
    /// For what runs, by the number of the question.
    questions: BTreeMap<u64, oneshot::Sender<Outcome>>,
    last_question: u64,
    /// For the new program.
    upgrade: Vec<oneshot::Sender<Outcome>>,
    pub(super) restarts: Restarts,
    /// For the end. They never get an answer: it ends with us.
    stop: Vec<oneshot::Sender<Outcome>>,
}

/// What a reload is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole configuration.
    All,
    /// These apps; the rest stays as it is.
    Apps(BTreeSet<AppId>),
}

impl Waiting {
    /// A reload of everything is wanted, and nobody waits for it.
    pub(super) fn reload_wanted(&mut self) {
        self.next.push((Scope::All, None));
    }

    /// The reload begins for which the next ones wait: what it is about.
    pub(super) fn reload_begins(&mut self) -> Scope {
        let mut apps = BTreeSet::new();
        let mut all = self.next.is_empty();
        for (scope, waits) in self.next.drain(..) {
            match scope {
                Scope::All => all = true,
                Scope::Apps(some) => apps.extend(some),
            }
            self.reload.extend(waits);
        }
        if all { Scope::All } else { Scope::Apps(apps) }
    }

    /// The one that went on has ended.
    pub(super) fn reload_ended(&mut self, outcome: &Outcome) {
        for waits in self.reload.drain(..) {
            // Who has gone does not wait.
            let _ = waits.send(outcome.clone());
        }
    }

    /// Somebody asks what runs: the number of the question. Those who have gone
    /// are forgotten.
    fn asks(&mut self, waits: oneshot::Sender<Outcome>) -> u64 {
        self.questions.retain(|_, waits| !waits.is_closed());
        self.last_question += 1;
        self.questions.insert(self.last_question, waits);
        self.last_question
    }

    /// What runs has been told.
    pub(super) fn told(&mut self, question: u64, snapshot: Box<Snapshot>) {
        if let Some(waits) = self.questions.remove(&question) {
            let _ = waits.send(Outcome::Status(snapshot));
        }
    }

    /// The gateway that was asked has gone.
    pub(super) fn nobody_tells(&mut self) {
        for waits in std::mem::take(&mut self.questions).into_values() {
            let _ = waits.send(Outcome::Failed("the gateway has ended; ask again".to_owned()));
        }
    }

    /// An upgrade has come to an end.
    pub(super) fn upgrade_ended(&mut self, outcome: &Outcome) {
        for waits in self.upgrade.drain(..) {
            let _ = waits.send(outcome.clone());
        }
    }

    /// Another flupd has taken over, and is to be asked from now on. Whether a
    /// reload is wanted of it for which nobody waits.
    pub(super) fn upgraded(&mut self) -> bool {
        let mut wanted = false;
        for (_, waits) in self.next.drain(..) {
            match waits {
                Some(waits) => drop(waits.send(Outcome::AskAgain)),
                None => wanted = true,
            }
        }
        wanted
    }

    /// None will begin any more.
    pub(super) fn no_reload(&mut self, outcome: &Outcome) {
        let _ = self.reload_begins();
        self.reload_ended(outcome);
    }
}

impl Supervisor<'_> {
    /// Does what is ordered, or says what is to be decided over.
    pub(super) fn obey(&mut self, (order, waits): Ordered) -> Event {
        let outcome = match order {
            Order::Stop => {
                self.waiting.stop.push(waits);
                return Event::Stop;
            }
            Order::Reload { .. } if self.admin.is_retired() => Outcome::AskAgain,
            Order::Upgrade if self.admin.is_retired() => Outcome::AskAgain,
            Order::Upgrade => {
                self.waiting.upgrade.push(waits);
                return Event::UpgradeWanted;
            }
            Order::Reload { canary: Some(_), .. } if self.config.is_solo() => {
                Outcome::Failed("in solo mode there is no canary".to_owned())
            }
            Order::Reload { app, canary } => match self.scope(app) {
                Ok(scope) => {
                    self.waiting.canary = canary.or(self.waiting.canary);
                    self.waiting.next.push((scope, Some(waits)));
                    return Event::ReloadWanted;
                }
                Err(why) => Outcome::Failed(why),
            },
            Order::Status { frames } => match &self.gateway {
                Some(_) => {
                    let question = self.waiting.asks(waits);
                    self.tell(ToGateway::Tell { question, frames }, Vec::new());
                    return Event::Tick;
                }
                None if self.config.is_solo() => {
                    self.tell_of_solo(frames.then_some(Duration::ZERO), waits);
                    return Event::Tick;
                }
                None => Outcome::Failed("the gateway is being started; ask again".to_owned()),
            },
            Order::Restart { app } => match self.scope(app) {
                Ok(scope) => return self.restart(&scope, waits),
                Err(why) => Outcome::Failed(why),
            },
            Order::Scale { app, min, max } => match self.scale(app, min, max) {
                Ok(event) => {
                    let _ = waits.send(Outcome::Done);
                    return event;
                }
                Err(why) => Outcome::Failed(why),
            },
            Order::ReopenLogs => {
                self.logs.reopen();
                Outcome::Done
            }
            Order::LogLevel { level } => {
                log::set_level(level);
                self.log_level = Some(level);
                self.tell(ToGateway::LogLevel(level), Vec::new());
                self.tell_solo_level(level);
                Outcome::Done
            }
        };
        let _ = waits.send(outcome);
        Event::Tick
    }

    fn scope(&self, app: Option<String>) -> Result<Scope, String> {
        let Some(name) = app else { return Ok(Scope::All) };
        Ok(Scope::Apps(BTreeSet::from([self.named(&name)?])))
    }

    /// Has the workers of these apps replaced.
    fn restart(&mut self, scope: &Scope, waits: oneshot::Sender<Outcome>) -> Event {
        let ids = self.config.apps.keys().copied().filter(|id| match scope {
            Scope::All => true,
            Scope::Apps(some) => some.contains(id),
        });
        let group = |app| GroupId { app, generation: self.reloads.active(app) };
        let groups: Vec<_> = ids.map(group).collect();
        self.waiting.restarts.begin(&groups, waits);
        Event::Restart(groups)
    }

    /// Gives an app other bounds for the number of its workers.
    fn scale(
        &mut self,
        app: Option<String>,
        min: Option<usize>,
        max: usize,
    ) -> Result<Event, String> {
        let mut ids = self.config.apps.keys();
        let id = match (app, ids.next(), ids.next()) {
            (Some(name), ..) => self.named(&name)?,
            (None, Some(&only), None) => only,
            (None, ..) => {
                return Err(format!("there are several apps; name one: {}", self.names()));
            }
        };
        let group = GroupId { app: id, generation: self.reloads.active(id) };
        let program = self.programs.get_mut(&group).ok_or("the app is being started")?;
        // What is configured says what can be ordered, whatever was ordered before.
        let workers = program.app.workers.scaled(min, max)?;
        let mut config = self.config.clone();
        config.apps.entry(id).and_modify(|app| app.workers = workers);
        OpenFiles::suffice(&config).map_err(|error| error.to_string())?;
        program.most = program.most.max(max);
        self.config = config;
        Ok(Event::Scale { group, workers })
    }

    /// The app of this name.
    fn named(&self, name: &str) -> Result<AppId, String> {
        let found = self.config.apps().find(|(_, app)| app.name.as_deref() == Some(name));
        found.map(|(id, _)| id).ok_or_else(|| match self.names() {
            none if none.is_empty() => {
                "this flupd has one app, without a name; leave the name out".to_owned()
            }
            all => format!("there is no app {name:?}; there are: {all}"),
        })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.config.apps().filter_map(|(_, app)| app.name.as_deref()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was an error once: the second one found nothing to take.
    #[test]
    fn who_wants_the_same_app_reloaded_gets_one_reload() {
        let mut waiting = Waiting::default();
        let shop = || Scope::Apps(BTreeSet::from([AppId(1)]));
        let (first, mut done) = oneshot::channel();
        waiting.next.push((shop(), Some(first)));
        waiting.next.push((shop(), None));
        assert_eq!(waiting.reload_begins(), shop());
        waiting.reload_ended(&Outcome::Done);
        assert_eq!(done.try_recv(), Ok(Outcome::Done));
        waiting.next.push((shop(), None));
        waiting.reload_wanted();
        assert_eq!(waiting.reload_begins(), Scope::All);
    }

    #[test]
    fn nobody_waits_for_a_gateway_that_has_gone() {
        let mut waiting = Waiting::default();
        let (asks, mut told) = oneshot::channel();
        assert_eq!(waiting.asks(asks), 1);
        waiting.nobody_tells();
        assert!(matches!(told.try_recv(), Ok(Outcome::Failed(_))));
    }
}
