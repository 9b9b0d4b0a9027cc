//! Carries out what was decided.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::Supervisor;
use super::cause::Cause;
use super::decide::{Action, Event};
use super::processes::GatewayProcess;
use super::worker::Worker;
use crate::admin::Outcome;
use crate::config::AppId;
use crate::control::ToGateway;

impl Supervisor<'_> {
    /// Decides over one event and what follows from it at once. Returns the
    /// exit status at the end.
    pub(super) fn handle(&mut self, event: Event) -> Option<u8> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.forget(&event);
            for action in self.state.decide(event, Instant::now()) {
                match action {
                    Action::Exit(status) => return Some(status),
                    action => events.extend(self.carry_out(action)),
                }
            }
        }
        None
    }

    /// Does one thing. What can't be started is told as one that has ended.
    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::SpawnGateway => {
                return self.start_gateway().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnTeller => {
                return self.start_teller().err().map(|error| Event::TellerExited {
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::Answer(question, what) => self.answer(question, &what),
            Action::SpawnWorker(group, worker) => {
                return self.start_worker(group, worker).err().map(|error| Event::WorkerExited {
                    worker,
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::SpawnZygote(group) => {
                return self.start_zygote(group).err().map(|error| Event::ZygoteExited {
                    group,
                    cause: Cause::Lost(format!("it can't be started: {error}")),
                });
            }
            Action::KillGateway => drop(self.gateway.as_ref().map(GatewayProcess::kill)),
            Action::KillZygote(group) => {
                let zygote = self.programs.get(&group).and_then(|program| program.zygote.as_ref());
                if let Some(zygote) = zygote {
                    zygote.kill();
                }
            }
            Action::KillWorker(worker) => drop(self.workers.get_mut(&worker).map(Worker::kill)),
            Action::StopWorker(worker) => self.stop_solo(worker),
            Action::Tell(message) => {
                let ends = match message {
                    ToGateway::WorkerStarted { worker, .. } => self.ends(worker),
                    _ => Vec::new(),
                };
                self.tell(message, ends);
            }
            Action::Prove(group, worker) => {
                let probe = self.programs.get(&group).and_then(|p| p.app.probe.clone());
                if let Some(probe) = probe {
                    self.tell(ToGateway::ProveWorker { group, worker, probe }, Vec::new());
                }
            }
            Action::PrepareReload => {
                let scope = self.waiting.reload_begins();
                let canary = self.waiting.canary.take();
                self.reloads.begin(&self.config, scope, canary);
            }
            Action::Switch => {
                return self.switch().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be given the new sockets: {error}")),
                });
            }
            Action::ReloadDone(told) => {
                self.waiting.reload_ended(&told.map_or(Outcome::Done, Outcome::Said));
            }
            Action::ReloadFailed(why) => {
                self.reloads.forget();
                self.waiting.reload_ended(&Outcome::Failed(why));
            }
            Action::PassOn(question, snapshot) => self.waiting.told(question, snapshot),
            Action::NoReload(why) => self.waiting.no_reload(&Outcome::Failed(why)),
            Action::StartSuccessor => {
                let started = self.start_successor();
                return started.err().map(|error| Event::SuccessorEnded {
                    why: format!("the new flupd can't be started: {error:#}"),
                });
            }
            Action::LetGo => self.let_go(),
            Action::Retire => self.retire(),
            Action::UpgradeDone => self.waiting.upgrade_ended(&Outcome::Done),
            Action::UpgradeFailed(why) => self.upgrade_failed(why),
            Action::SayReady => self.say_ready(),
            Action::Refuse(why) => self.refuse(why),
            Action::TakeOver => {
                return self.take_over().err().map(|error| Event::GatewayExited {
                    cause: Cause::Lost(format!("it can't be given the sockets: {error}")),
                });
            }
            Action::Restarted(group, why) => {
                let name = self.app_name(group.app).map(str::to_owned);
                let why = why.map(|why| match name {
                    Some(name) => format!("{name}: {why}"),
                    None => why,
                });
                self.waiting.restarts.ended(group, why);
            }
            Action::Forget(group) => drop(self.programs.remove(&group)),
            Action::ReopenLogs => self.logs.reopen(),
            Action::CloseListeners => self.listeners = None,
            Action::Log(note) => {
                self.systemd.heed(&note);
                self.beginning.heed(&note);
                note.write(None);
            }
            Action::LogOf(group, note) => {
                self.beginning.heed(&note);
                self.count_end(group, &note);
                let name = self.app_name(group.app);
                match &self.last_words {
                    Some(words) => note.write_with(name, words),
                    None => note.write(name),
                }
            }
            Action::Exit(_) => {}
        }
        None
    }

    pub(super) fn tell(&self, message: ToGateway, fds: Vec<OwnedFd>) {
        if let Some(gateway) = &self.gateway {
            gateway.tell(message, fds);
        }
    }

    /// The gateway's ends of the channel of a worker that was forked just now.
    fn ends(&mut self, worker: u64) -> Vec<OwnedFd> {
        match self.workers.get_mut(&worker) {
            Some(Worker::Forked(worker)) => worker.take_ends(),
            Some(Worker::Started(_) | Worker::Solo(_)) | None => Vec::new(),
        }
    }

    /// What the log calls an app, where there can be several.
    pub(super) fn app_name(&self, app: AppId) -> Option<&str> {
        self.config.app(app).and_then(|app| app.name.as_deref())
    }
}
