//! Solo workers, which the supervisor looks on: nobody else could tell what they do.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flupd_channel::packet::{self, MAX_PACKET};
use flupd_channel::startup::{Task, send_task};
use tokio::sync::oneshot;

use super::Supervisor;
use super::decide::Generation;
use super::notes::Note;
use super::processes::{Process, watch_worker};
use super::program::Program;
use super::worker::Worker;
use crate::admin::Outcome;
use crate::config::GroupId;
use crate::observe::ends::{WorkerEnd, unix_ms};
use crate::observe::log::LogLevel;
use crate::observe::metrics::{AppMetrics, Gathered, Metrics, Stand};
use crate::observe::onlook::{self, LastWords, Watched};
use crate::observe::snapshot::{AppSnapshot, Snapshot, WorkerState};

/// What solo workers count, for those who ask.
#[derive(Debug, Default)]
pub(super) struct Told {
    metrics: Arc<Metrics>,
    gathered: Gathered,
}

/// A worker that serves connections itself.
#[derive(Debug)]
pub(super) struct SoloWorker {
    pub(super) process: Process,
    /// The socket on which it is told to stop.
    pub(super) orders: OwnedFd,
    watched: Arc<Watched>,
}

impl SoloWorker {
    /// What it was doing, once it has ended.
    pub(super) fn last_words(&self) -> LastWords {
        self.watched.last_words()
    }
}

impl Supervisor<'_> {
    /// Starts a worker that serves connections itself.
    pub(super) fn start_solo(
        &self,
        group: GroupId,
        program: &Program,
        worker: u64,
    ) -> io::Result<SoloWorker> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let gateway = self.gateway_config(listeners);
        let gateway = serde_json::to_string(&gateway)?;
        let task = Task::Solo { worker: program.worker_config(worker), gateway };
        // Nobody sleeps on the other side, so nobody hears this bell.
        let ends = flupd_channel::create(1, &flupd_channel::bell()?)?.with_probe()?;
        let mut sockets = listeners.of_web_servers()?;
        sockets.extend(self.logs.for_gateway()?);
        let fds: Vec<_> = sockets.iter().chain(&ends.gateway).chain(&ends.worker).collect();
        let fds: Vec<_> = fds.into_iter().map(AsFd::as_fd).collect();
        let (ours, theirs) = packet::pair()?;
        send_task(&ours, &task, &fds)?;
        let orders = ours.try_clone()?;
        let streams = self.logs.capture(&program.origin(Some(worker)))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        let mut ends = ends.gateway;
        // By the end of the socket its app would be told that its gateway has gone.
        drop(ends.remove(1));
        let watched = Arc::new(Watched::new(worker, process.pid(), ends)?);
        self.told.gathered.begin(worker, watched.counters());
        let app = self.told.metrics.app(group.app, program.app.name.as_deref());
        app.worker_started(worker, process.pid(), watched.waits());
        Ok(SoloWorker { process, orders, watched })
    }

    /// A solo worker has ended, as the log is about to say.
    pub(super) fn count_end(&self, group: GroupId, note: &Note) {
        let Some(LastWords { pid, requests, .. }) = &self.last_words else { return };
        let (worker, cause, expected) = match note {
            Note::WorkerDied { worker, cause, .. } => (*worker, cause, false),
            Note::WorkerEnded { worker, cause } => (*worker, cause, true),
            _ => return,
        };
        self.told.gathered.end(worker);
        let name = self.app_name(group.app);
        let app = self.told.metrics.app(group.app, name);
        app.worker_ended(worker, cause, expected);
        app.recent.add(WorkerEnd {
            at_ms: unix_ms(SystemTime::now()),
            app: name.map(str::to_owned),
            generation: group.generation,
            worker,
            pid: *pid,
            cause: cause.clone(),
            expected,
            requests: requests.clone(),
        });
    }

    /// What is counted, brought up to date; and the one app of that.
    pub(super) fn metrics(&self) -> (Arc<Metrics>, Option<Arc<AppMetrics>>) {
        let metrics = Arc::clone(&self.told.metrics);
        let Some((id, config)) = self.config.apps().next() else { return (metrics, None) };
        let app = metrics.app(id, config.name.as_deref());
        let mut stands = BTreeMap::<u64, Stand>::new();
        for generation in self.state.generations() {
            let stand = stands.entry(generation.group.generation).or_default();
            for (number, state) in generation.workers {
                let Some(worker) = self.workers.get(&number).and_then(Worker::solo) else {
                    continue;
                };
                let (busy, waiting) = worker.watched.load();
                stand.busy += u64::from(busy);
                stand.queued = stand.queued.saturating_add(waiting);
                let (count, threads) = match state {
                    WorkerState::Starting => (&mut stand.starting, 0),
                    WorkerState::Ready => (&mut stand.ready, 1),
                    WorkerState::Leaving | WorkerState::Stuck => (&mut stand.leaving, 0),
                };
                *count += 1;
                stand.threads += threads;
            }
        }
        if self.state.is_stopping() {
            metrics.set_stopping();
        }
        app.set_retired(false);
        app.set_workers(&config.workers);
        let active = GroupId { app: id, generation: self.reloads.active(id) };
        let python = self.programs.get(&active).map(|program| &*program.interpreter.version);
        app.set_python(python);
        self.told.gathered.tell(&metrics, &app, stands);
        (metrics, Some(app))
    }

    /// Has those that run log at this level.
    pub(super) fn tell_solo_level(&self, level: LogLevel) {
        let Ok(order) = serde_json::to_vec(&level) else { return };
        for (_, worker) in self.workers.iter() {
            if let Some(solo) = worker.solo() {
                // Who has just gone logs nothing more.
                let _ = packet::send(&solo.orders, &order, &[]);
            }
        }
    }

    /// Has who asks told what runs, with the frames of the requests that have run for so long:
    /// in a task of its own, for the workers take a moment to say where they are.
    pub(super) fn tell_of_solo(&self, frames: Option<Duration>, waits: oneshot::Sender<Outcome>) {
        let watched: BTreeMap<u64, Arc<Watched>> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| Some((*id, Arc::clone(&worker.solo()?.watched))))
            .collect();
        let totals = self.metrics().1.map(|app| app.totals()).unwrap_or_default();
        let apps = self.state.generations().into_iter().map(|generation| {
            let config = self.config.app(generation.group.app);
            let app = AppSnapshot {
                app: config.and_then(|app| app.name.clone()),
                workers_min: config.map_or(0, |app| app.workers.min),
                workers_max: config.map_or(0, |app| app.workers.max),
                totals: totals.clone(),
                ..AppSnapshot::default()
            };
            (generation, app)
        });
        let apps: Vec<_> = apps.collect();
        tokio::spawn(async move {
            let snapshot = snapshot(apps, &watched, frames).await;
            // Who has gone does not wait.
            let _ = waits.send(Outcome::Status(Box::new(snapshot.within(MAX_PACKET))));
        });
    }
}

/// All of it. What these apps are is known already, but for their workers and requests.
async fn snapshot(
    apps: Vec<(Generation, AppSnapshot)>,
    watched: &BTreeMap<u64, Arc<Watched>>,
    frames: Option<Duration>,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut workers = Vec::new();
    for (generation, mut app) in apps {
        app.generation = generation.group.generation;
        app.draining = generation.draining;
        for (number, state) in generation.workers {
            let Some(worker) = watched.get(&number) else { continue };
            let crowd = worker.crowd();
            let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            snapshot.connections = snapshot.connections.saturating_add(count(crowd.connections));
            snapshot.reading = snapshot.reading.saturating_add(count(crowd.reading));
            app.waiting = app.waiting.saturating_add(count(crowd.queued));
            app.workers.push(worker.told(state));
            workers.push((Arc::clone(worker), app.app.clone()));
        }
        snapshot.apps.push(app);
    }
    let unseen =
        snapshot.apps.iter().fold(snapshot.reading, |sum, app| sum.saturating_add(app.waiting));
    let (requests, more) = onlook::requests(workers, frames).await;
    for request in requests.iter().filter(|request| request.phase == "queued") {
        let is_its = |app: &&mut AppSnapshot| {
            app.workers.iter().any(|worker| Some(worker.worker) == request.worker)
        };
        if let Some(app) = snapshot.apps.iter_mut().find(is_its) {
            app.waiting = app.waiting.saturating_add(1);
            app.waiting_ms = app.waiting_ms.max(request.age_ms);
        }
    }
    snapshot.requests = requests;
    snapshot.more = unseen.saturating_add(more);
    snapshot
}
