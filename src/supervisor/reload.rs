//! A reload, as far as it is not decided: the configuration is read again, its
//! interpreters are found and its sockets opened, beside what runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;

use super::decide::{Compared, ReloadPlan};
use super::listeners::Listeners;
use super::orders::Scope;
use super::program::Program;
use super::start::{plan, programs};
use crate::config::{AppId, Canary, GatewayApp, GroupId, ServeConfig, Share};

/// How long the workers of a new generation may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the configuration again, from where it came.
pub(crate) type Source = Arc<dyn Fn() -> anyhow::Result<ServeConfig> + Send + Sync>;

/// What was read, and the interpreters that run it.
pub(super) type Found = (ServeConfig, BTreeMap<GroupId, Program>);

/// The reloads of one flupd.
pub(super) struct Reloads {
    source: Source,
    /// The number of the newest generation.
    generation: u64,
    /// Which generation of each app takes the requests.
    active: BTreeMap<AppId, u64>,
    results: (mpsc::Sender<anyhow::Result<Found>>, mpsc::Receiver<anyhow::Result<Found>>),
    /// Whether a result is awaited.
    looking: bool,
    /// How the one that goes on shall begin, if that was said with the order.
    canary: Option<Canary>,
    prepared: Option<Prepared>,
}

/// What will hold when the new generations have started.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: ServeConfig,
    pub(super) listeners: Listeners,
    /// The apps of which there is a new generation.
    apps: Vec<AppId>,
}

impl Reloads {
    /// The first generation of these apps takes the requests.
    pub(super) fn new(source: Source, config: &ServeConfig) -> Self {
        let active = config.apps().map(|(id, _)| (id, GroupId::first(id).generation)).collect();
        let results = mpsc::channel(1);
        Self {
            source,
            generation: 1,
            active,
            results,
            looking: false,
            canary: None,
            prepared: None,
        }
    }

    /// Which generation of this app takes its requests.
    pub(super) fn active(&self, app: AppId) -> u64 {
        self.active.get(&app).copied().unwrap_or(self.generation)
    }

    /// Begins to read and to look; the result comes from [`Reloads::found`].
    pub(super) fn begin(&mut self, before: &ServeConfig, scope: Scope, canary: Option<Canary>) {
        self.canary = canary;
        self.generation += 1;
        self.looking = true;
        let (source, results) = (Arc::clone(&self.source), self.results.0.clone());
        let (before, generation) = (before.clone(), self.generation);
        tokio::spawn(async move {
            // It has room for the one that is awaited.
            let _ = results.send(find(&source, generation, &before, &scope).await).await;
        });
    }

    /// How it shall begin, if that was said with the order.
    pub(super) const fn canary(&self) -> Option<Canary> {
        self.canary
    }

    /// Whether interpreters are being looked for.
    pub(super) const fn is_looking(&self) -> bool {
        self.looking
    }

    /// Waits for what [`Reloads::begin`] has found.
    pub(super) async fn found(&mut self) -> anyhow::Result<Found> {
        match self.results.1.recv().await {
            Some(found) => {
                self.looking = false;
                found
            }
            // We hold a sender.
            None => std::future::pending().await,
        }
    }

    /// What was found shall hold once it has started.
    pub(super) fn prepare(&mut self, config: ServeConfig, listeners: Listeners, apps: Vec<AppId>) {
        self.prepared = Some(Prepared { config, listeners, apps });
    }

    /// It has started: it holds.
    pub(super) fn take(&mut self) -> Option<Prepared> {
        let prepared = self.prepared.take()?;
        self.active.retain(|id, _| prepared.config.app(*id).is_some());
        self.active.extend(prepared.apps.iter().map(|id| (*id, self.generation)));
        Some(prepared)
    }

    /// It is not wanted.
    pub(super) fn forget(&mut self) {
        self.prepared = None;
    }
}

/// What is decided over, when this is to take the place of what was `before`.
pub(super) fn reload_plan(
    config: &ServeConfig,
    programs: &BTreeMap<GroupId, Program>,
    before: &ServeConfig,
    ordered: Option<Canary>,
) -> ReloadPlan {
    let groups = programs.iter().map(|(id, program)| (*id, plan(&program.app))).collect();
    let removed = before.apps().map(|(id, _)| id).filter(|id| config.app(*id).is_none()).collect();
    let probes = programs.values().filter_map(|program| program.app.probe.as_ref());
    let patience = PATIENCE + probes.map(|probe| probe.timeout).max().unwrap_or_default();
    // Only what was there before can be compared.
    let known = programs.iter().filter(|(id, _)| before.app(id.app).is_some());
    let compared = known.filter_map(|(id, Program { app, .. })| {
        let canary = ordered.or(app.canary).filter(|canary| canary.share != Share(0))?;
        Some((*id, Compared { name: app.name.clone(), canary }))
    });
    ReloadPlan { groups, removed, canaries: compared.collect(), patience }
}

/// The apps that were not there `before`.
pub(super) fn added(config: &ServeConfig, before: &ServeConfig) -> Vec<(AppId, GatewayApp)> {
    let new = config.apps().filter(|(id, _)| before.app(*id).is_none());
    new.map(|(id, app)| (id, app.gateway(0))).collect()
}

async fn find(
    source: &Source,
    generation: u64,
    before: &ServeConfig,
    scope: &Scope,
) -> anyhow::Result<Found> {
    let mut config = source().context("the configuration can't be used")?.renumbered(before);
    if config.is_solo() != before.is_solo() {
        bail!("solo mode can't be switched on or off while flupd runs; stop it and start it again");
    }
    if let Scope::Apps(apps) = scope {
        let mut new = before.clone();
        for id in apps {
            let app = config.apps.remove(id).context("the app is not in the file any more")?;
            new.apps.insert(*id, app);
        }
        let mut changed = new.clone();
        changed.apps.retain(|id, _| apps.contains(id));
        return Ok((new, programs(&changed, generation).await?));
    }
    if config.logs != before.logs {
        bail!(
            "what is said of logs and spans can't be changed while flupd runs; stop it and start it again"
        );
    }
    let programs = programs(&config, generation).await?;
    Ok((config, programs))
}
