//! Solo workers, which the supervisor looks on: nobody else could tell what they do.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::packet::{self, MAX_PACKET};
use flupd_channel::startup::{Task, send_task};
use tokio::sync::oneshot;

use super::Supervisor;
use super::decide::Generation;
use super::processes::{Process, watch_worker};
use super::program::Program;
use crate::admin::Outcome;
use crate::observe::onlook::{self, LastWords, Watched};
use crate::observe::snapshot::{AppSnapshot, Snapshot};

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
    pub(super) fn start_solo(&self, program: &Program, worker: u64) -> io::Result<SoloWorker> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let gateway = self.gateway_config(listeners);
        let gateway = serde_json::to_string(&gateway)?;
        let task = Task::Solo { worker: program.worker_config(worker), gateway };
        // Nobody sleeps on the other side, so nobody hears this bell.
        let ends = flupd_channel::create(1, &flupd_channel::bell()?)?.with_probe()?;
        let mut sockets = listeners.duplicate()?;
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
        Ok(SoloWorker { process, orders, watched })
    }

    /// Has who asks told what runs, with the frames of each request if they are wanted:
    /// in a task of its own, for the workers take a moment to say where they are.
    pub(super) fn tell_of_solo(&self, frames: bool, waits: oneshot::Sender<Outcome>) {
        let watched: BTreeMap<u64, Arc<Watched>> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| Some((*id, Arc::clone(&worker.solo()?.watched))))
            .collect();
        let apps = self.state.generations().into_iter().map(|generation| {
            let config = self.config.app(generation.group.app);
            let app = AppSnapshot {
                app: config.and_then(|app| app.name.clone()),
                workers_min: config.map_or(0, |app| app.workers.min),
                workers_max: config.map_or(0, |app| app.workers.max),
                ..AppSnapshot::default()
            };
            (generation, app)
        });
        let apps: Vec<_> = apps.collect();
        let frames = frames.then_some(Duration::ZERO);
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
