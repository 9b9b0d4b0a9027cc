//! What the gateway counts, for the [status listener](crate::gateway).
//!
//! One thread writes, the gateway's; any may read at any time, without a lock
//! that the writer would wait for. So what is read at one moment may differ by the
//! request that is being counted.

mod app;
mod counters;
mod gathered;
mod generation;
mod histogram;
pub mod history;
mod reason;
mod spans;
mod text;
mod totals;
mod worker;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use flupd_channel::ledger::Ledger;
use flupd_channel::observed;

pub use self::app::{AppMetrics, Ending};
use self::counters::Home;
pub use self::counters::{Counters, FrontCounters};
pub use self::gathered::{Gathered, Source};
pub use self::generation::{Generation, Stand};
pub use self::histogram::Histogram;
pub use self::reason::{Reason, Reasons};
pub use self::spans::Spans;
use crate::config::AppId;

/// A number that one thread changes.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Cell(AtomicU64);

impl Cell {
    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Puts another in its place.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds to it. As there is one writer, no locked instruction is needed.
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}

/// All of one gateway.
#[derive(Debug)]
pub struct Metrics {
    /// When the gateway has begun.
    pub began: SystemTime,
    front: Home<FrontCounters>,
    /// Where the apps are counted as well, in the process of a solo worker.
    ledger: Option<Ledger<Counters>>,
    apps: Mutex<BTreeMap<AppId, Arc<AppMetrics>>>,
    watched: AtomicBool,
    stopping: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: SystemTime::now(),
            front: Home::default(),
            ledger: None,
            apps: Mutex::default(),
            watched: AtomicBool::default(),
            stopping: AtomicBool::default(),
        }
    }
}

impl Deref for Metrics {
    type Target = FrontCounters;

    fn deref(&self) -> &FrontCounters {
        &self.front
    }
}

impl Metrics {
    /// Counted in the ledger of a solo worker: of one app, which has one generation.
    #[must_use]
    pub fn on(ledger: Ledger<Counters>) -> Self {
        Self { front: Home::front(&ledger), ledger: Some(ledger), ..Self::default() }
    }

    /// Those of an app, which begin at zero when it is new; it is not configured yet. `name` is what the log
    /// calls it, where there can be several.
    pub fn app(&self, id: AppId, name: Option<&str>) -> Arc<AppMetrics> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let app = apps.entry(id).or_insert_with(|| {
            let name = name.unwrap_or("app");
            let app = match &self.ledger {
                Some(ledger) => AppMetrics::on(name, ledger.clone()),
                None => AppMetrics::new(name),
            };
            app.set_watched(self.watched.load(Relaxed));
            Arc::new(app)
        });
        Arc::clone(app)
    }

    /// The app is not there any more.
    pub fn forget(&self, id: AppId) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// All apps.
    #[must_use]
    pub fn apps(&self) -> Vec<Arc<AppMetrics>> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.values().map(Arc::clone).collect()
    }

    /// Somebody may look from now on, or nobody.
    pub fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Relaxed);
        self.apps().iter().for_each(|app| app.set_watched(watched));
    }

    /// The gateway takes no more connections.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether it takes no more connections.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// A connection has come.
    pub fn opened(&self) {
        self.accepted.add(1);
        self.connections.add(1);
    }

    /// It has gone.
    pub fn closed(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
    }

    /// A connection that `was` idle, or not, is so now.
    pub fn rests(&self, was: &mut bool, idle: bool) {
        if !observed::is_on() || std::mem::replace(was, idle) == idle {
            return;
        }
        let count = self.idle.get();
        self.idle.set(if idle { count + 1 } else { count.saturating_sub(1) });
    }

    /// Why a load balancer should send its requests elsewhere; `None` if they will
    /// be answered here.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        if self.stopping.load(Relaxed) {
            return Some("flupd is stopping".to_owned());
        }
        let apps = self.apps();
        let nobody = |app: &AppMetrics| {
            let stand = app.stand();
            stand.ready == 0 && stand.asleep == 0
        };
        let waits = apps.iter().find(|app| !app.is_retired() && nobody(app))?;
        Some(format!("{} has no worker that is ready", waits.name))
    }
}
