//! What a solo worker does, told by a process that looks on: the worker itself has one
//! thread, and that may be in the app.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use cgi::Params;
use flupd_channel::Phase;
use flupd_channel::onlooker::{Crowd, Onlooker, Seen, Stage};
use flupd_channel::probe::Probe;
use flupd_channel::waits::WaitsOf;
use tokio::time::Instant;

use super::metrics::Source;
use super::process::{Usage, thread_cpu};
use super::snapshot::{MAX_FRAMES, MAX_REQUESTS, RequestSnapshot, WorkerSnapshot, WorkerState};

/// How long the app's thread may take to say where it is.
const PATIENCE: Duration = Duration::from_millis(80);

/// How many answered requests of a dead worker are told, as of any other.
const REMEMBERED: usize = 8;

/// A solo worker, looked at from another process.
#[derive(Debug)]
pub struct Watched {
    worker: u64,
    pid: u32,
    begun: Instant,
    onlooker: Onlooker,
    probe: Probe,
}

impl Watched {
    /// The process of this number and id, which has just been started. `ends` are
    /// duplicates of the gateway's ends of its channel, with a probe. Needs a running
    /// tokio runtime.
    ///
    /// # Errors
    /// When they are something else, or what the operating system reports.
    pub fn new(worker: u64, pid: u32, mut ends: Vec<OwnedFd>) -> std::io::Result<Self> {
        let probe = Probe::split_off(&mut ends)?;
        let memory = ends.first().ok_or(std::io::ErrorKind::InvalidData)?;
        let onlooker = Onlooker::new(memory)?;
        let probe = probe.in_turns(&onlooker);
        Ok(Self { worker, pid, begun: Instant::now(), onlooker, probe })
    }

    /// Where its process counts.
    #[must_use]
    pub fn counters(&self) -> Source {
        self.onlooker.ledger()
    }

    /// How long its app has waited for the interpreter.
    #[must_use]
    pub fn waits(&self) -> WaitsOf {
        self.onlooker.waits()
    }

    /// Whether the app has a request, and how many wait for it.
    #[must_use]
    pub fn load(&self) -> (bool, u64) {
        let (mut busy, mut waiting) = (false, self.onlooker.crowd().queued);
        for seen in self.onlooker.requests() {
            match seen.stage {
                Stage::Running { .. } => busy = true,
                Stage::Waiting(_) => waiting = waiting.saturating_add(1),
                Stage::Ended { .. } => {}
            }
        }
        (busy, waiting)
    }

    /// How many it has of what is not told one by one.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        self.onlooker.crowd()
    }

    /// The worker, in this state.
    #[must_use]
    pub fn told(&self, state: WorkerState) -> WorkerSnapshot {
        let usage = Usage::of(self.pid);
        let has = |seen: &Seen| !matches!(seen.stage, Stage::Ended { .. });
        let busy = self.onlooker.requests().iter().any(has);
        WorkerSnapshot {
            worker: self.worker,
            pid: self.pid,
            state,
            threads: 1,
            busy: usize::from(busy),
            served: u64::from(self.onlooker.ended()),
            age_ms: millis(self.begun.elapsed()),
            memory: usage.map(|usage| usage.memory),
            cpu_ms: usage.map(|usage| millis(usage.cpu)),
        }
    }

    /// The requests that the app has or that wait for it, in the order in which they
    /// came; with the frames of those that have run for so long. `app` is its name.
    pub async fn requests(
        &self,
        app: Option<&str>,
        frames: Option<Duration>,
    ) -> Vec<RequestSnapshot> {
        let mut told = Vec::new();
        for seen in self.onlooker.requests() {
            let params: Params = seen.params.iter().map(|p| (p.name(), p.value())).collect();
            let mut request = RequestSnapshot {
                app: app.map(str::to_owned),
                worker: Some(self.worker),
                pid: Some(self.pid),
                thread: Some(1),
                ..RequestSnapshot::of(&params)
            };
            match seen.stage {
                Stage::Ended { .. } => continue,
                Stage::Waiting(age) => {
                    request.phase = "queued".to_owned();
                    request.age_ms = millis(age);
                }
                Stage::Running { phase, age, waited, begun } => {
                    request.phase = phase.to_string();
                    request.age_ms = millis(age);
                    request.waited_ms = Some(millis(waited));
                    if phase != Phase::Over {
                        let spent = begun.and_then(|begun| {
                            Some(thread_cpu(self.pid, begun.tid)?.saturating_sub(begun.cpu))
                        });
                        let spent = spent.filter(|_| self.onlooker.runs(seen.number));
                        request.cpu_ms = spent.map(millis);
                        if frames.is_some_and(|least| age >= least) {
                            request.frames = Some(self.frames(seen.number).await);
                        }
                    }
                }
            }
            told.push(request);
        }
        told
    }

    async fn frames(&self, number: u32) -> Vec<String> {
        match self.probe.frames(0, PATIENCE).await {
            _ if !self.onlooker.runs(number) => vec!["it has ended meanwhile".to_owned()],
            Ok(frames) => frames.iter().rev().map(ToString::to_string).collect(),
            Err(error) => vec![format!("not known: {error}")],
        }
    }
}

/// What a worker was doing when its process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// Its process id.
    pub pid: u32,
    /// The requests that it had and did not answer.
    pub requests: String,
    /// The last ones that it had answered, the oldest first.
    pub before: String,
}

impl Watched {
    /// What it was doing, once its process has ended, however that was.
    #[must_use]
    pub fn last_words(&self) -> LastWords {
        let (mut requests, mut before) = (Vec::new(), Vec::new());
        for seen in self.onlooker.requests() {
            let params: Params = seen.params.iter().map(|p| (p.name(), p.value())).collect();
            let request = RequestSnapshot::of(&params).line();
            match seen.stage {
                Stage::Waiting(age) => {
                    requests.push(format!("{request} (queued, {} ms)", age.as_millis()));
                }
                Stage::Running { phase, age, .. } => {
                    requests.push(format!("{request} ({phase}, {} ms)", age.as_millis()));
                }
                Stage::Ended { status, took, ago } => {
                    let answer = match status {
                        0 => "no answer".to_owned(),
                        status => status.to_string(),
                    };
                    let (took, ago) = (took.as_secs_f64() * 1000.0, ago.as_millis());
                    before.push(format!("{request}: {answer} in {took:.1} ms, {ago} ms ago"));
                }
            }
        }
        let least = before.len().saturating_sub(REMEMBERED);
        let before = before.split_off(least);
        LastWords { pid: self.pid, requests: requests.join(", "), before: before.join("; ") }
    }
}

/// The requests of several workers as one list: those that the app has, then those that
/// wait, of each kind the oldest first; and how many more there are. The workers are
/// asked for their frames at the same time.
pub async fn requests(
    workers: Vec<(Arc<Watched>, Option<String>)>,
    frames: Option<Duration>,
) -> (Vec<RequestSnapshot>, usize) {
    let asked = workers.into_iter().map(|(worker, app)| {
        tokio::spawn(async move { worker.requests(app.as_deref(), frames).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut all = Vec::new();
    for task in asked {
        all.extend(task.await.unwrap_or_default());
    }
    all.sort_by_key(|one| (one.waited_ms.is_none(), std::cmp::Reverse(one.age_ms)));
    let more = all.len().saturating_sub(MAX_REQUESTS);
    all.truncate(MAX_REQUESTS);
    let mut text = 0;
    for frames in all.iter_mut().filter_map(|request| request.frames.as_mut()) {
        frames.retain(|frame| {
            text += frame.len();
            text <= MAX_FRAMES
        });
    }
    (all, more)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
