//! Time limits in solo mode. Gateway and app share one thread, so while the app
//! works another one has to look at the clock: the *warden*.
//!
//! ```text
//!         --slow-request       --request-timeout             --request-grace
//! Quiet ────────────────▶ Slow ────────────────▶ Limited ───────────────────▶ (killed)
//!                 it is logged     RequestTimeout is     nothing ends the request
//!                 where it is      raised in the app     but the end of the process
//! ```
//!
//! It needs neither Python nor the interpreter's lock: frames and RequestTimeout come
//! by signal, as in a worker. What it can't do is answer in the app's place: only
//! the other thread knows what was sent already. So the client of a request that
//! does not end gets the web server's 502.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flupd_channel::onlooker::Onlooker;
use flupd_channel::probe::Probe;
use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

use super::pool::AGAIN;
use crate::config::TimeLimits;

/// How long the app may take to say where it is.
const ANSWER: Duration = Duration::from_secs(1);

/// How soon something is looked at again that can't be foreseen.
const SOON: Duration = Duration::from_millis(50);

/// The one app thread there is.
const THREAD: usize = 0;

/// How the thread of gateway and app tells the warden what it does.
#[derive(Debug, Clone, Default)]
pub(super) struct Warden(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    current: Mutex<Option<Current>>,
    /// The app waits until the client takes some of its answer.
    writing: AtomicBool,
}

/// The request that the app works on.
#[derive(Debug, Clone)]
struct Current {
    /// As the app thread counts them.
    number: u32,
    since: Instant,
    /// For people.
    request: String,
    trace_id: Option<String>,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Quiet,
    Slow,
    Limited(Instant),
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Slow,
    Limit,
    Again,
    Kill,
}

impl Warden {
    /// Starts the thread, if something is to be looked at. `fds` end in the gateway's
    /// ends of a probe, of which a process that looks on has others.
    ///
    /// # Errors
    /// When it can't be started.
    pub(super) fn start(
        limits: TimeLimits,
        mut fds: Vec<OwnedFd>,
        looked_on: Option<Onlooker>,
    ) -> io::Result<Self> {
        let this = Self::default();
        let watched = Arc::clone(&this.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Signals are for the main thread.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let thread = std::thread::Builder::new().name("flupd-warden".into());
        let started = thread.spawn(move || {
            runtime.block_on(async {
                let probe = Probe::split_off(&mut fds).map(|probe| match &looked_on {
                    Some(onlooker) => probe.in_turns(onlooker),
                    None => probe,
                });
                match probe {
                    Ok(probe) => watched.guard(&probe, limits).await,
                    Err(error) => error!(%error, "time limits can't be kept"),
                }
            });
        });
        before.thread_set_mask()?;
        started.map(|_| this)
    }

    /// The app begins with a request.
    pub(super) fn begins(&self, number: u32, request: String, trace_id: Option<String>) {
        let current = Current { number, since: Instant::now(), request, trace_id };
        *self.0.current() = Some(current);
    }

    /// It is done with it.
    pub(super) fn over(&self) {
        *self.0.current() = None;
    }

    /// Does something that may wait for the client. That time is not the app's.
    pub(super) fn writing(&self, work: impl FnOnce()) {
        self.0.writing.store(true, Ordering::Relaxed);
        work();
        self.0.writing.store(false, Ordering::Relaxed);
    }
}

impl Watched {
    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self, number: u32) -> bool {
        self.current().as_ref().is_some_and(|current| current.number == number)
    }

    async fn guard(&self, probe: &Probe, limits: TimeLimits) {
        let shortest = limits.slow.into_iter().chain(limits.request).min();
        let Some(shortest) = shortest else { return pending().await };
        let (mut seen, mut step) = (0, Step::Quiet);
        loop {
            let now = Instant::now();
            // Whatever begins from here on is not due before that.
            let mut next = now + shortest;
            let current = self.current().clone();
            if let Some(current) = current {
                if current.number != seen {
                    (seen, step) = (current.number, Step::Quiet);
                }
                let writing = self.writing.load(Ordering::Relaxed);
                let (due, after, then) = look(&limits, step, current.since, now, writing);
                step = after;
                next = then.unwrap_or(next).min(next);
                match due {
                    Due::Nothing => {}
                    Due::Slow => self.slow(probe, &current).await,
                    Due::Limit => self.limit(probe, &current).await,
                    Due::Again => order(probe, &current),
                    Due::Kill => self.kill(&current),
                }
            }
            sleep_until(next).await;
        }
    }

    async fn slow(&self, probe: &Probe, current: &Current) {
        let frames = self.frames(probe, current).await;
        let Current { request, trace_id, .. } = current;
        let age_ms = current.age_ms();
        warn!(request, trace_id, age_ms, %frames, "slow request");
    }

    async fn limit(&self, probe: &Probe, current: &Current) {
        let frames = self.frames(probe, current).await;
        let Current { request, trace_id, .. } = current;
        let age_ms = current.age_ms();
        order(probe, current);
        error!(request, trace_id, age_ms, %frames, "request has had its time (--request-timeout)");
    }

    fn kill(&self, current: &Current) {
        // Whoever has come back in this moment shall live.
        if self.runs(current.number) {
            let (request, age_ms) = (&current.request, current.age_ms());
            error!(request, age_ms, "request does not end; its process is killed");
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    async fn frames(&self, probe: &Probe, current: &Current) -> String {
        match probe.frames(THREAD, ANSWER).await {
            _ if !self.runs(current.number) => "it has ended meanwhile".to_owned(),
            Ok(frames) if frames.is_empty() => "no Python code".to_owned(),
            // As a traceback: the innermost last.
            Ok(frames) => frames.iter().rev().map(|frame| format!("\n    {frame}")).collect(),
            Err(error) => format!("not known: {error}"),
        }
    }
}

/// Has the app told that this request has had its time. It passes over it if it has gone
/// on to another one, or was told before.
fn order(probe: &Probe, current: &Current) {
    if let Err(error) = probe.limit(THREAD, current.number) {
        warn!(%error, "the app can't be told that a request has had its time");
    }
}

impl Current {
    fn age_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is due of a request that has begun at `since`, what it has come to with
/// that, and when to look again, if that can be said.
fn look(
    limits: &TimeLimits,
    step: Step,
    since: Instant,
    now: Instant,
    writing: bool,
) -> (Due, Step, Option<Instant>) {
    let slow = limits.slow.map(|limit| since + limit);
    let limit = limits.request.map(|limit| since + limit);
    match step {
        Step::Quiet | Step::Slow if limit.is_some_and(|limit| limit <= now) => match writing {
            true => (Due::Nothing, step, Some(now + SOON)),
            false => (Due::Limit, Step::Limited(now), Some(now + limits.grace.min(AGAIN))),
        },
        Step::Quiet if slow.is_some_and(|slow| slow <= now) => (Due::Slow, Step::Slow, limit),
        Step::Quiet => (Due::Nothing, step, slow.into_iter().chain(limit).min()),
        Step::Slow => (Due::Nothing, step, limit),
        Step::Limited(told) if told + limits.grace <= now => (Due::Kill, step, Some(now + SOON)),
        Step::Limited(told) => (Due::Again, step, Some((told + limits.grace).min(now + AGAIN))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_due_once_and_in_its_turn() {
        let seconds = Duration::from_secs;
        let limits = TimeLimits {
            slow: Some(seconds(1)),
            request: Some(seconds(3)),
            grace: seconds(5),
            queue: None,
        };
        let since = Instant::now();
        let at = |time: u64| since + seconds(time);
        let see = |step, time, writing| look(&limits, step, since, at(time), writing);
        assert_eq!(see(Step::Quiet, 0, false), (Due::Nothing, Step::Quiet, Some(at(1))));
        assert_eq!(see(Step::Quiet, 1, false), (Due::Slow, Step::Slow, Some(at(3))));
        assert_eq!(see(Step::Slow, 2, false), (Due::Nothing, Step::Slow, Some(at(3))));
        // Whoever waits for the client is not held up by the app.
        assert_eq!(see(Step::Slow, 3, true), (Due::Nothing, Step::Slow, Some(at(3) + SOON)));
        let told = Step::Limited(at(3));
        assert_eq!(see(Step::Slow, 3, false), (Due::Limit, told, Some(at(3) + AGAIN)));
        assert_eq!(see(Step::Quiet, 3, false), (Due::Limit, told, Some(at(3) + AGAIN)));
        assert_eq!(see(told, 7, false), (Due::Again, told, Some(at(7) + AGAIN)));
        assert_eq!(see(told, 8, false).0, Due::Kill);
        let only_slow = TimeLimits { request: None, ..limits };
        assert_eq!(look(&only_slow, Step::Slow, since, at(9), false).0, Due::Nothing);
    }
}
