//! What a reload needs is opened when it was found, and holds when the new
//! generations have started.

use std::io;

use anyhow::Context;

use super::decide::Event;
use super::listeners::Listeners;
use super::reload::{self, Found, Prepared};
use super::{Supervisor, orphans};
use crate::config::{GatewayConfig, GroupId};
use crate::control::ToGateway;

impl Supervisor<'_> {
    /// What a reload needs was looked for: opens its sockets and says what is to
    /// be decided over.
    pub(super) fn found(&mut self, found: anyhow::Result<Found>) -> Event {
        if self.preload {
            self.bury_orphans();
        }
        let prepared = found.and_then(|(config, programs)| {
            let before = self.listeners.as_ref().context("flupd is stopping")?;
            let listeners = before.reopen(&config.listeners)?;
            if !self.preload && config.apps.values().any(|app| app.preload) {
                orphans::inherit().context("can't become the heir of orphaned workers")?;
                self.preload = true;
            }
            Ok((config, programs, listeners))
        });
        let (config, programs, listeners) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Event::ReloadImpossible(format!("{error:#}")),
        };
        for (app, config) in reload::added(&config, &self.config) {
            self.tell(ToGateway::AppAdded { app, config: Box::new(config) }, Vec::new());
        }
        let plan = reload::reload_plan(&config, &programs, &self.config, self.reloads.canary());
        let apps = programs.keys().map(|group| group.app).collect();
        self.programs.extend(programs);
        self.reloads.prepare(config, listeners, apps);
        Event::Reload(plan)
    }

    /// What was prepared holds from now on.
    pub(super) fn switch(&mut self) -> io::Result<()> {
        let Some(Prepared { config, listeners, .. }) = self.reloads.take() else { return Ok(()) };
        let new = listeners.without(self.listeners.as_ref().unwrap_or(&Listeners::default()))?;
        self.config = config;
        let config = self.gateway_config(&listeners);
        // What is not listened on any more is closed here first: the gateway takes
        // what has come in before that.
        let before = self.listeners.replace(listeners).unwrap_or_default();
        self.reconfigure_teller(&before);
        drop(before);
        self.tell(ToGateway::Reconfigure(config), new);
        Ok(())
    }

    pub(super) fn gateway_config(&self, listeners: &Listeners) -> GatewayConfig {
        let mut config = self.config.gateway(listeners.configs(), |app| self.reloads.active(app));
        config.log.level = self.log_level.unwrap_or(config.log.level);
        for (id, app) in &mut config.apps {
            let group = GroupId { app: *id, generation: app.generation };
            let program = self.programs.get(&group);
            app.python = program.map(|program| program.interpreter.version.clone());
        }
        config
    }
}
