//! The program of flupd itself is replaced, and no request notices.
//!
//! The old flupd starts the new one as it was started itself, and hands over its
//! listening sockets. The new one starts everything anew, and accepts nothing
//! until all of it is ready and the old one lets go. Then the old one stops as it
//! always does, except that its connections go to the new one.

mod again;
mod handover;
mod predecessor;
mod successor;

use std::io;

use anyhow::{Context, bail};
use flupd_channel::packet;

pub(super) use self::again::Again;
pub(super) use self::handover::{Made, Offer};
pub(super) use self::predecessor::Elder;
use self::predecessor::Predecessor;
use self::successor::Estate;
pub(super) use self::successor::Successor;
use super::admin::{Admin, ControlListener};
use super::signals::Signals;
use super::worker::Worker;
use super::{Supervisor, spawn};
use crate::admin::Outcome;
use crate::control::ToGateway;
use crate::gateway::solo;

/// Where this process stands among those that replace each other. The default is
/// for one that neither replaces another nor is replaced.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// How to start the next one.
    pub(super) again: Option<Again>,
    pub(super) elder: Option<Predecessor>,
}

impl Lineage {
    /// That of a process that was started by a person, or by the flupd that it
    /// shall replace. To be called before anything is opened.
    ///
    /// # Errors
    /// When it can't be found out, or the other one can't be understood.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let again = Some(Again::of_this_process()?);
        Ok(Self { again, elder: Predecessor::of_this_process()? })
    }

    /// Says to the flupd that was to be replaced why nothing comes of it.
    pub(crate) fn refuse(&self, why: &str) {
        if let Some(elder) = &self.elder {
            elder.refuse(why);
        }
    }
}

/// Who comes after this process, and who was before it.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// None if it can't be started again: somebody else decides what runs.
    again: Option<Again>,
    successor: Option<Successor>,
    pub(super) elder: Option<Elder>,
    /// What will be there when this process has taken over.
    control: Option<ControlListener>,
    /// Whether this process has to show that it works, and listens to nobody.
    proves: bool,
}

impl Upgrade {
    /// `control` is opened, but nobody is heard on it before an elder has gone.
    pub(super) fn new(
        again: Option<Again>,
        elder: Option<Elder>,
        control: Option<ControlListener>,
    ) -> Self {
        let proves = elder.is_some();
        Self { again, successor: None, elder, control, proves }
    }

    /// Whether the gateway is to accept nothing yet.
    pub(super) const fn proves(&self) -> bool {
        self.proves
    }

    /// The process id of the new flupd, while it is our child.
    pub(super) fn successor_pid(&self) -> Option<u32> {
        self.successor.as_ref().map(Successor::pid)
    }
}

impl Supervisor<'_> {
    /// Starts the new flupd.
    pub(super) fn start_successor(&mut self) -> anyhow::Result<()> {
        let Some(again) = &self.upgrade.again else {
            bail!("the web server has started this flupd; have it start a new one");
        };
        if std::process::id() == 1 {
            bail!(
                "flupd is process 1 here, with which everything ends; replace the whole container"
            );
        }
        let listeners = self.listeners.as_ref().context("flupd is stopping")?.offers()?;
        let control = self.admin.offer();
        let (ours, theirs) = packet::pair()?;
        let child = spawn::successor(again, theirs, &self.open_files)?;
        let estate = Estate { listeners, control };
        let successor = Successor::begin(child, ours, estate, self.events.clone())?;
        self.upgrade.successor = Some(successor);
        Ok(())
    }

    /// The new flupd takes over.
    pub(super) fn let_go(&self) {
        if let Some(successor) = &self.upgrade.successor {
            successor.take_over();
        }
    }

    /// The new flupd is not wanted any more.
    pub(super) fn dismiss_successor(&mut self) {
        if let Some(successor) = self.upgrade.successor.take() {
            successor.dismiss();
        }
    }

    /// The new flupd has taken over: what is left here ends, and leaves everything
    /// in its place.
    pub(super) fn retire(&mut self) {
        self.retire_teller();
        let Some(successor) = &self.upgrade.successor else { return };
        self.systemd.hand_over(successor.pid());
        if let Some(listeners) = &self.listeners {
            listeners.own(false);
        }
        self.admin.retire();
        if self.waiting.upgraded() {
            successor.reload();
        }
        match successor.heir.try_clone() {
            Ok(heir) => self.tell(ToGateway::Bequeath, vec![heir]),
            Err(error) => tracing::error!(%error, "connections can't be passed on"),
        }
    }

    /// Tells a worker that serves connections itself to stop, and who gets those
    /// that it has.
    pub(super) fn stop_solo(&self, worker: u64) {
        if let Some(solo) = self.workers.get(&worker).and_then(Worker::solo) {
            use std::os::fd::AsFd;
            let heir = self.upgrade.successor.as_ref().map(|successor| successor.heir.as_fd());
            let heir: Vec<_> = heir.filter(|_| self.admin.is_retired()).into_iter().collect();
            // One that has gone has stopped.
            let _ = packet::send(&solo.orders, b"stop", &heir);
        }
    }

    /// Everything is ready: says so to the old flupd.
    pub(super) fn say_ready(&self) {
        if let Some(elder) = &self.upgrade.elder {
            elder.prove();
        }
    }

    /// Says to the old flupd why nothing will be ready.
    pub(super) fn refuse(&self, why: String) {
        if let Some(elder) = &self.upgrade.elder {
            elder.refuse(why);
        }
    }

    /// The old flupd has let go: accepts connections and orders.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        self.upgrade.proves = false;
        self.reconfigure_teller(&super::Listeners::default());
        if let Some(listeners) = &self.listeners {
            let config = self.gateway_config(listeners);
            let sockets = listeners.duplicate()?;
            self.tell(ToGateway::Reconfigure(config), sockets);
        }
        self.admin = match self.upgrade.control.take() {
            Some(control) => Admin::serve(control)?,
            None => Admin::none(),
        };
        let Some(elder) = &mut self.upgrade.elder else { return Ok(()) };
        // An old control socket that is wanted no more goes with this.
        if let Some(control) = elder.control.take() {
            control.own();
        }
        let heritage = elder.heritage.take();
        elder.succeed();
        let Some(heritage) = heritage else { return Ok(()) };
        for worker in self.workers.values() {
            if let Worker::Solo(solo) = worker {
                packet::send(&solo.orders, solo::INHERIT, &[std::os::fd::AsFd::as_fd(&heritage)])?;
            }
        }
        self.tell(ToGateway::Inherit, vec![heritage]);
        Ok(())
    }

    /// Waits for the end of a flupd that this one has replaced: who sees our end
    /// takes everything for ended.
    pub(super) async fn outlive_elder(&mut self, signals: &mut Signals) {
        let Some(elder) = self.upgrade.elder.take() else { return };
        if self.upgrade.proves {
            return;
        }
        tokio::select! {
            () = elder.ended() => {}
            () = signals.stop() => {}
            () = tokio::time::sleep(self.config.graceful_timeout) => {}
        }
    }

    /// No upgrade has come of it.
    pub(super) fn upgrade_failed(&mut self, why: String) {
        self.dismiss_successor();
        self.waiting.upgrade_ended(&Outcome::Failed(why));
    }
}
