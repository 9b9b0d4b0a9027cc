//! What is counted of one app, in all its generations.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flupd_channel::ledger::Ledger;
use flupd_channel::waits::{Waits, WaitsOf};

use super::Cell;
use super::counters::{AppCounters, Counters, Home};
use super::generation::{Generation, Stand};
use super::worker::{Worker, WorkerFacts};
use crate::config::Workers;
use crate::observe::ends::Ends;

/// How a request has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was answered with this status, as far as the first digit says: 0 if
    /// that is none.
    Answered(u8),
    /// The answer had begun, and could not be finished.
    Cut,
    /// The client had gone before.
    Cancelled,
}

impl Ending {
    /// All that are counted apart, as they are called.
    pub(super) const LABELS: [&'static str; 8] =
        ["other", "1xx", "2xx", "3xx", "4xx", "5xx", "cut", "cancelled"];

    const fn index(self) -> usize {
        match self {
            Self::Answered(class @ 1..=5) => class as usize,
            Self::Answered(_) => 0,
            Self::Cut => 6,
            Self::Cancelled => 7,
        }
    }
}

/// What is counted of one app.
#[derive(Debug)]
pub struct AppMetrics {
    /// What the log calls it.
    pub name: String,
    counts: Home<AppCounters>,
    /// Where its generation is counted as well, in the process of a solo worker.
    ledger: Option<Ledger<Counters>>,
    /// How many workers there are at least.
    pub workers_min: Cell,
    /// How many there are at most.
    pub workers_max: Cell,
    /// The version of its Python, once that is known.
    python: Mutex<Option<String>>,
    pub(super) generations: Mutex<BTreeMap<u64, Arc<Generation>>>,
    /// What was counted in generations that have gone: busy and idle nanoseconds.
    pub(super) thread_nanos: [Cell; 2],
    /// How often workers have ended as `exit status 3`, `SIGSEGV`, `told`.
    ends: Mutex<BTreeMap<String, u64>>,
    workers: Mutex<BTreeMap<u64, Worker>>,
    /// The last workers that have ended.
    pub recent: Ends,
    /// What workers that have gone had waited for the interpreter.
    waits: Mutex<Waits>,
    watched: AtomicBool,
    retired: AtomicBool,
}

impl Deref for AppMetrics {
    type Target = AppCounters;

    fn deref(&self) -> &AppCounters {
        &self.counts
    }
}

impl AppMetrics {
    /// All zero.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            counts: Home::default(),
            ledger: None,
            workers_min: Cell::default(),
            workers_max: Cell::default(),
            python: Mutex::default(),
            generations: Mutex::default(),
            thread_nanos: Default::default(),
            ends: Mutex::default(),
            workers: Mutex::default(),
            recent: Ends::default(),
            waits: Mutex::default(),
            watched: AtomicBool::new(false),
            retired: AtomicBool::new(true),
        }
    }

    /// The same, counted in the ledger of a solo worker.
    pub(super) fn on(name: &str, ledger: Ledger<Counters>) -> Self {
        Self { counts: Home::app(&ledger), ledger: Some(ledger), ..Self::new(name) }
    }

    /// A request has ended. It took so long, and had waited so long for its turn
    /// at a thread, if it ever came.
    pub fn ended(&self, ending: Ending, took: Duration, waited: Option<Duration>) {
        if let Some(count) = self.requests.get(ending.index()) {
            count.add(1);
        }
        self.duration.observe(took);
        if let Some(waited) = waited {
            self.wait.observe(waited);
        }
    }

    /// How many requests have ended in each way.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ending::LABELS.into_iter().zip(self.requests.iter().map(Cell::get))
    }

    /// How things stand with a generation, for who tells it.
    pub fn generation(&self, generation: u64) -> Arc<Generation> {
        let open = || match &self.ledger {
            Some(ledger) => Arc::new(Generation::on(ledger)),
            None => Arc::default(),
        };
        Arc::clone(locked(&self.generations).entry(generation).or_insert_with(open))
    }

    /// So many workers are configured, or were ordered.
    pub fn set_workers(&self, workers: &Workers) {
        self.workers_min.set(workers.min as u64);
        self.workers_max.set(workers.max as u64);
    }

    /// Nobody works in this generation any more.
    pub fn generation_over(&self, generation: u64) {
        let Some(over) = locked(&self.generations).remove(&generation) else { return };
        for (sum, nanos) in self.thread_nanos.iter().zip(over.thread_nanos()) {
            sum.add(nanos);
        }
    }

    /// How each generation stands.
    pub fn stands(&self) -> Vec<(u64, Stand)> {
        locked(&self.generations).iter().map(|(number, one)| (*number, one.stand())).collect()
    }

    /// How all of them stand together.
    pub fn stand(&self) -> Stand {
        self.stands().into_iter().fold(Stand::default(), |sum, (_, one)| sum.and(one))
    }

    /// For how long app threads were busy and idle, all together, in nanoseconds.
    pub(super) fn thread_nanos(&self) -> [u64; 2] {
        // While the list is held, none goes over to what has gone.
        let generations = locked(&self.generations);
        let gone = self.thread_nanos.each_ref().map(Cell::get);
        generations.values().fold(gone, |[busy, idle], one| {
            let [b, i] = one.thread_nanos();
            [busy.wrapping_add(b), idle.wrapping_add(i)]
        })
    }

    /// The version of the Python that runs it.
    pub fn set_python(&self, version: Option<&str>) {
        *locked(&self.python) = version.map(str::to_owned);
    }

    /// The version of the Python that runs it.
    pub(super) fn python(&self) -> Option<String> {
        locked(&self.python).clone()
    }

    /// A worker runs as this process, whose threads tell their waits there.
    pub fn worker_started(&self, worker: u64, pid: u32, waits: WaitsOf) {
        locked(&self.workers).insert(worker, Worker::new(pid, waits));
    }

    /// It has ended; how is told in the supervisor's words, and whether it was told to.
    pub fn worker_ended(&self, worker: u64, cause: &str, expected: bool) {
        let mut workers = locked(&self.workers);
        if let Some(gone) = workers.remove(&worker) {
            locked(&self.waits).add(gone.waits());
        }
        drop(workers);
        *locked(&self.ends).entry(shortened(cause, expected)).or_default() += 1;
    }

    /// How long app threads have waited for the interpreter.
    pub(super) fn waits(&self) -> Waits {
        let workers = locked(&self.workers);
        let mut sum = *locked(&self.waits);
        workers.values().for_each(|worker| sum.add(worker.waits()));
        sum
    }

    /// How often workers have ended, and how.
    pub(super) fn ends(&self) -> BTreeMap<String, u64> {
        locked(&self.ends).clone()
    }

    /// The processes that are its workers.
    pub(super) fn workers(&self) -> Vec<WorkerFacts> {
        locked(&self.workers).iter().map(|(number, worker)| worker.told(*number)).collect()
    }

    /// The memory of its workers together, in bytes.
    pub(super) fn resident(&self) -> u64 {
        locked(&self.workers).values().filter_map(Worker::resident).sum()
    }

    /// Whether [`Stand`]s are of any use.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Relaxed);
    }

    /// It is configured, or not any more.
    pub fn set_retired(&self, retired: bool) {
        self.retired.store(retired, Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Few words for what can be said in many: each makes a line of its own.
fn shortened(cause: &str, expected: bool) -> String {
    if expected {
        return "told".to_owned();
    }
    if cause.starts_with("killed by signal ") {
        let name = cause.split_once('(').map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split([',', ')']).next());
        return name.unwrap_or("signal").to_owned();
    }
    if cause.starts_with("exit status ") { cause.to_owned() } else { "other".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_few() {
        for (cause, expected, word) in [
            ("exit status 0", true, "told"),
            ("exit status 0", false, "exit status 0"),
            ("killed by signal 11 (SIGSEGV, segmentation fault), core dumped", false, "SIGSEGV"),
            ("killed by signal 9 (SIGKILL)", false, "SIGKILL"),
            ("killed by signal 40", false, "signal"),
            ("it can't be started: no such file", false, "other"),
        ] {
            assert_eq!(shortened(cause, expected), word);
        }
    }

    #[test]
    fn generations_add_up() {
        let app = AppMetrics::new("shop");
        app.generation(1).stands(Stand { ready: 2, busy: 1, ..Stand::default() });
        app.generation(2).stands(Stand { ready: 3, ..Stand::default() });
        assert_eq!((app.stand().ready, app.stand().busy), (5, 1));
        app.generation_over(1);
        assert_eq!((app.stand().ready, app.stand().busy), (3, 0));
        assert!(app.thread_nanos()[0] > 0, "what was counted stays");
    }
}
