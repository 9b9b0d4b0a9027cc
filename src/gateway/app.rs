//! One app behind the gateway, in all its generations.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::gateway::Shelf;
use tokio::sync::mpsc::UnboundedSender;

use super::canary::Canary;
use super::park;
use super::pool::Pool;
use crate::config::{AppId, AppLimits, GatewayApp, GroupId, Share};
use crate::control::FromGateway;
use crate::observe::figures::Figures;
use crate::observe::metrics::AppMetrics;

/// How often memory for bodies is given back that was not used meanwhile.
const TIDY: Duration = Duration::from_secs(5);

/// How often it is looked whether an app that goes has requests.
const IDLE: Duration = Duration::from_millis(50);

/// One app: its workers and what bounds its requests.
#[derive(Debug)]
pub(super) struct App {
    id: AppId,
    name: Option<String>,
    limits: Cell<AppLimits>,
    /// Where its large bodies are received. Its own: workers keep what they
    /// were given mapped, and those of another app shall not see it.
    shelf: Shelf,
    /// Who takes its requests.
    active: RefCell<Rc<Pool>>,
    /// A new generation that gets a share of them.
    canary: RefCell<Option<Canary>>,
    /// All that have workers, and the active one.
    generations: RefCell<BTreeMap<u64, Rc<Pool>>>,
    /// Whether it is not configured any more.
    retired: Cell<bool>,
    metrics: Arc<AppMetrics>,
    reports: UnboundedSender<FromGateway>,
}

impl App {
    /// Nobody works for it yet. Up to `memory` bytes of a body are held in
    /// memory; reports go to the supervisor.
    pub(super) fn new(
        id: AppId,
        config: &GatewayApp,
        memory: usize,
        reports: UnboundedSender<FromGateway>,
        metrics: Arc<AppMetrics>,
    ) -> Rc<Self> {
        let group = GroupId { app: id, generation: config.generation };
        let pool =
            open(group, config.name.clone(), config.limits, reports.clone(), Arc::clone(&metrics));
        pool.set_workers(config.workers);
        let shelf = Shelf::new(memory);
        tokio::task::spawn_local(tidy(shelf.clone()));
        Rc::new(Self {
            id,
            name: config.name.clone(),
            limits: Cell::new(config.limits),
            shelf,
            active: RefCell::new(Rc::clone(&pool)),
            canary: RefCell::default(),
            generations: RefCell::new(BTreeMap::from([(config.generation, pool)])),
            retired: Cell::new(false),
            metrics,
            reports,
        })
    }

    /// Its name, where there can be several.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Bounds on its requests.
    pub(super) const fn limits(&self) -> AppLimits {
        self.limits.get()
    }

    /// Where its large bodies are received.
    pub(super) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Who gets the next request.
    pub(super) fn choose(&self) -> Rc<Pool> {
        match &*self.canary.borrow() {
            Some(canary) if canary.takes() => Rc::clone(&canary.pool),
            _ => self.pool(),
        }
    }

    /// A new generation gets a share of the requests, and both are watched.
    pub(super) fn begin_canary(&self, generation: u64, share: Share) {
        let pool = self.generation(generation);
        pool.count(pool.threads());
        self.pool().count(0);
        self.canary.replace(Some(Canary::new(pool, share)));
    }

    /// How the old and the new generation do, if there are two.
    pub(super) fn figures(&self) -> Option<(Figures, Figures)> {
        let canary = self.canary.borrow();
        Some((self.pool().figures()?, canary.as_ref()?.pool.figures()?))
    }

    /// The new generation gets no more requests, and leaves.
    pub(super) fn end_canary(&self) {
        let active = self.pool();
        active.count_no_more();
        if let Some(Canary { pool, .. }) = self.canary.take() {
            pool.hand_over(&active);
        }
    }

    /// Who takes its requests.
    pub(super) fn pool(&self) -> Rc<Pool> {
        Rc::clone(&self.active.borrow())
    }

    /// How many answers flupd gave in its place.
    pub(super) fn refused(&self) -> u64 {
        self.metrics.refused.sum()
    }

    /// The pool of a generation, which need not take requests.
    pub(super) fn generation(&self, generation: u64) -> Rc<Pool> {
        let mut generations = self.generations.borrow_mut();
        let pool = generations.entry(generation).or_insert_with(|| {
            let group = GroupId { app: self.id, generation };
            let (reports, metrics) = (self.reports.clone(), Arc::clone(&self.metrics));
            open(group, self.name.clone(), self.limits.get(), reports, metrics)
        });
        Rc::clone(pool)
    }

    /// What is configured for it now: its bounds, and which generation takes its
    /// requests.
    pub(super) fn reconfigure(&self, config: &GatewayApp) {
        self.limits.set(config.limits);
        self.retired.set(false);
        self.metrics.set_retired(false);
        self.metrics.set_python(config.python.as_deref());
        let next = self.generation(config.generation);
        next.set_limits(config.limits);
        next.count_no_more();
        self.canary.take();
        let last = self.active.replace(Rc::clone(&next));
        if !Rc::ptr_eq(&last, &next) {
            last.hand_over(&next);
        }
        next.set_workers(config.workers);
        self.tidy();
    }

    /// It is not configured any more: no request finds it, and those that did are
    /// still answered.
    pub(super) fn retire(&self) {
        self.metrics.set_retired(true);
        if !self.retired.replace(true) {
            let pool = self.pool();
            if pool.is_deserted() {
                // Nobody will start a worker for what waits.
                pool.app_unavailable();
            }
            tokio::task::spawn_local(close_when_idle(self.pool()));
        }
    }

    /// Forgets the generations for which nobody works. `true` if none is left.
    pub(super) fn tidy(&self) -> bool {
        let active = (!self.retired.get()).then(|| self.pool());
        let canary = self.canary.borrow();
        let is_canary =
            |pool: &Rc<Pool>| canary.as_ref().is_some_and(|canary| Rc::ptr_eq(pool, &canary.pool));
        let mut generations = self.generations.borrow_mut();
        generations.retain(|_, pool| {
            let is_active = active.as_ref().is_some_and(|active| Rc::ptr_eq(pool, active));
            let kept = is_active || is_canary(pool) || !pool.is_over();
            if !kept {
                park::dismiss(pool);
            }
            kept
        });
        generations.is_empty()
    }

    /// All generations.
    pub(super) fn pools(&self) -> Vec<Rc<Pool>> {
        self.generations.borrow().values().cloned().collect()
    }

    /// No worker gets more requests: the gateway is done.
    pub(super) fn close(&self) {
        self.generations.borrow().values().for_each(|pool| pool.close());
    }
}

/// A pool that has begun its work.
fn open(
    id: GroupId,
    name: Option<String>,
    limits: AppLimits,
    reports: UnboundedSender<FromGateway>,
    metrics: Arc<AppMetrics>,
) -> Rc<Pool> {
    let pool = Pool::new(id, name, limits, reports, metrics);
    tokio::task::spawn_local(Rc::clone(&pool).pulse());
    tokio::task::spawn_local(Rc::clone(&pool).watch());
    tokio::task::spawn_local(Rc::clone(&pool).gauge());
    park::attend(&pool);
    pool
}

/// Lets the workers go when no request waits for them.
async fn close_when_idle(pool: Rc<Pool>) {
    while !pool.is_idle() {
        tokio::time::sleep(IDLE).await;
    }
    pool.close();
}

/// Gives memory back that large bodies do not need any more.
async fn tidy(shelf: Shelf) {
    loop {
        tokio::time::sleep(TIDY).await;
        shelf.trim();
    }
}
