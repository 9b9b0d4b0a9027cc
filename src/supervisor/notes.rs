//! What the supervisor has to say while it runs: constant messages, the facts as
//! fields.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::decide::Due;
use crate::config::{Share, Workers};
use crate::observe::onlook::LastWords;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// The first worker is ready and the gateway listens.
    Ready,
    /// A worker has imported the app, whose callable this is.
    WorkerReady { worker: u64, app: String, python: String, replacement: bool },
    /// The app can't be imported; whether and when it is tried again.
    ImportFailed { worker: u64, error: String, again_in: Option<Duration> },
    /// A worker does not answer the probe well; whether and when it is tried again.
    ProbeFailed { worker: u64, error: String, again_in: Option<Duration> },
    /// A worker ended when nobody wanted it to. The gateway, if it knew the
    /// worker, says so as well, with the requests that were inside.
    WorkerDied { worker: u64, cause: String, again_in: Duration, known: bool },
    /// A worker ended as it should.
    WorkerEnded { worker: u64, cause: String },
    /// A worker broke the channel protocol.
    WorkerBroken { worker: u64, reason: String },
    /// A worker is to be replaced by another, which is started first.
    WorkerReplaced { worker: u64 },
    /// A worker is due: another is started in its place.
    WorkerRecycled { worker: u64, why: Due },
    /// More workers are started, so that there are so many in all.
    MoreWorkers { more: usize, workers: usize },
    /// One is not needed any more; so many stay.
    WorkerReleased { worker: u64, workers: usize },
    /// None is needed.
    Sleeps,
    /// There may be so many from now on.
    Scaled { workers: Workers },
    /// All workers shall be replaced.
    Restarting,
    /// They are.
    Restarted,
    /// Those that have not been go on.
    RestartFailed { error: String },
    /// A worker that leaves has no more time.
    DrainCut { worker: u64 },
    /// The zygote has imported the app.
    ZygoteReady { app: String, python: String, replacement: bool },
    /// The import has started threads.
    ThreadsAtImport { threads: Vec<String> },
    /// The zygote can't import the app; whether and when it is tried again.
    PreloadFailed { error: String, again_in: Option<Duration> },
    /// The zygote ended when nobody wanted it to.
    ZygoteDied { cause: String, again_in: Duration },
    /// The zygote ended as it should.
    ZygoteEnded { cause: String },
    /// At the first start the zygote ended before it could say anything.
    ZygoteStartFailed { cause: String },
    /// At the first start a worker ended before it could say anything.
    StartFailed { cause: String },
    /// The gateway ended when nobody wanted it to.
    GatewayDied { cause: String, again_in: Duration },
    /// The process that tells the status of solo workers has ended.
    TellerDied { cause: String, again_in: Duration },
    /// It could not be started in the first place.
    GatewayFailed { cause: String },
    /// It ended badly while it finished its requests.
    GatewayCut { cause: String },
    /// It lives, but does nothing.
    GatewayHangs { silent: Duration },
    /// A new one listens.
    GatewayReplaced,
    /// A signal came.
    Stopping { grace: Duration },
    /// The time for running requests is over.
    Cut { gateway: bool, workers: usize },
    /// The second signal came.
    StoppedAtOnce,
    /// The end.
    Stopped,
    /// New code or another configuration is wanted.
    Reloading,
    /// New generations have taken over.
    Reloaded,
    /// A new generation gets this share of the requests for so long.
    CanaryBegun { share: Share, time: Duration },
    /// It does worse than the old one, and gets no more.
    CanaryFailed { what: String, figures: String },
    /// It does no worse.
    CanaryPassed { figures: String },
    /// What ran goes on.
    ReloadFailed { error: String },
    /// A generation that leaves has no more time.
    LeaveCut,
    /// Another program shall take over.
    Upgrading,
    /// It has.
    Upgraded { grace: Duration },
    /// It has not, and this one goes on.
    UpgradeFailed { error: String },
    /// The program that this one was to replace has gone, or wants it no more.
    NotWanted,
}

impl Note {
    /// As [`Note::write`], of a worker of which nobody but the supervisor knows what it
    /// was doing.
    pub(super) fn write_with(&self, name: Option<&str>, words: &LastWords) {
        let LastWords { pid, requests, before } = words;
        match self {
            Self::WorkerDied { worker, cause, again_in, .. } => {
                let again_in_ms = millis(*again_in);
                error!(
                    app = name,
                    worker, pid, cause, again_in_ms, requests, before, "worker died"
                );
            }
            // It was cut: its time was over.
            Self::WorkerEnded { worker, cause } if !requests.is_empty() => {
                error!(app = name, worker, pid, cause, requests, before, "worker died");
            }
            _ => self.write(name),
        }
    }

    /// Writes it to the log. `name` is the app's, where there can be several.
    pub(super) fn write(&self, name: Option<&str>) {
        match self {
            Self::Ready => info!("ready"),
            Self::WorkerReady { worker, app, python, replacement: true } => {
                info!(app = name, worker, callable = app, python, "replacement worker is ready");
            }
            Self::WorkerReady { worker, app, python, replacement: false } => {
                debug!(app = name, worker, callable = app, python, "worker is ready");
            }
            Self::ImportFailed { worker, error, again_in } => {
                let (error, again_in_ms) = (indented(error), again_in.map(millis));
                error!(app = name, worker, again_in_ms, %error, "the app can't be imported");
            }
            Self::ProbeFailed { worker, error, again_in } => {
                let (error, again_in_ms) = (indented(error), again_in.map(millis));
                error!(app = name, worker, again_in_ms, %error, "the probe has failed");
            }
            Self::WorkerDied { worker, cause, again_in, known } => {
                let again_in_ms = millis(*again_in);
                match (known, again_in) {
                    (false, _) => error!(app = name, worker, cause, again_in_ms, "worker died"),
                    (true, &Duration::ZERO) => {
                        debug!(app = name, worker, cause, "worker is replaced")
                    }
                    (true, _) => warn!(
                        app = name,
                        worker,
                        cause,
                        again_in_ms,
                        "workers die young; the next one is started later"
                    ),
                }
            }
            Self::WorkerEnded { worker, cause } => {
                debug!(app = name, worker, cause, "worker ended")
            }
            Self::WorkerBroken { worker, reason } => {
                error!(
                    app = name,
                    worker, reason, "worker broke the channel protocol and is ended"
                );
            }
            Self::WorkerReplaced { worker } => {
                info!(app = name, worker, "another worker is started in its place");
            }
            Self::WorkerRecycled { worker, why } => {
                let (option, rss_kib) = match why {
                    Due::Requests => ("--max-requests", None),
                    Due::Age => ("--max-age", None),
                    Due::Memory(bytes) => ("--max-memory", Some(bytes / 1024)),
                    Due::Ordered => ("flupd restart", None),
                };
                info!(app = name, worker, option, rss_kib, "worker is due and is replaced");
            }
            Self::MoreWorkers { more, workers } => {
                info!(app = name, more, workers, "more workers are needed");
            }
            Self::WorkerReleased { worker, workers } => {
                info!(app = name, worker, workers, "worker is not needed and leaves");
            }
            Self::Sleeps => info!(app = name, "no worker is needed; the next request starts one"),
            Self::Scaled { workers } => {
                info!(app = name, %workers, "the number of workers is set");
            }
            Self::Restarting => {
                info!(app = name, "restarting: replacing one worker after the other")
            }
            Self::Restarted => info!(app = name, "restarted"),
            Self::RestartFailed { error } => {
                let error = indented(error);
                error!(app = name, %error, "the restart has failed; the other workers go on");
            }
            Self::DrainCut { worker } => warn!(
                app = name,
                worker, "the time for running requests of a replaced worker is over; it is killed"
            ),
            Self::ZygoteReady { app, python, replacement: true } => {
                info!(app = name, callable = app, python, "replacement zygote is ready");
            }
            Self::ZygoteReady { app, python, replacement: false } => {
                debug!(app = name, callable = app, python, "zygote is ready");
            }
            Self::ThreadsAtImport { threads } => warn!(
                app = name,
                threads = threads.join(", "),
                "the app starts threads when it is imported; forked workers don't have them, so \
                 start them at the first request or in os.register_at_fork"
            ),
            Self::PreloadFailed { error, again_in } => {
                let (error, again_in_ms) = (indented(error), again_in.map(millis));
                error!(app = name, again_in_ms, %error, "the app can't be imported");
            }
            Self::ZygoteDied { cause, again_in } => error!(
                app = name,
                cause,
                again_in_ms = millis(*again_in),
                "zygote ended unexpectedly and is replaced; the workers go on"
            ),
            Self::ZygoteEnded { cause } => debug!(app = name, cause, "zygote ended"),
            Self::ZygoteStartFailed { cause } => {
                error!(
                    app = name,
                    cause, "the zygote ended before it was ready, so flupd does not start"
                );
            }
            Self::StartFailed { cause } => {
                error!(
                    app = name,
                    cause, "a worker ended before it was ready, so flupd does not start"
                );
            }
            Self::GatewayDied { cause, again_in } => {
                error!(
                    cause,
                    again_in_ms = millis(*again_in),
                    "gateway ended unexpectedly; its requests are lost, the workers are replaced"
                );
            }
            Self::TellerDied { cause, again_in } => error!(
                cause,
                again_in_ms = millis(*again_in),
                "the process that tells the status ended unexpectedly and is replaced"
            ),
            Self::GatewayFailed { cause } => {
                error!(cause, "the gateway ended before it listened, so flupd does not start");
            }
            Self::GatewayCut { cause } => {
                error!(cause, "gateway ended before its requests were finished");
            }
            Self::GatewayHangs { silent } => error!(
                silent_s = silent.as_secs_f64(),
                "gateway hangs: it does not answer the supervisor, and is killed"
            ),
            Self::GatewayReplaced => info!("replacement gateway listens"),
            Self::Stopping { grace } => {
                info!(grace_s = grace.as_secs_f64(), "stopping: finishing the running requests");
            }
            Self::Cut { gateway, workers } => {
                warn!(
                    gateway,
                    workers, "the time for running requests is over; what is left is cut"
                );
            }
            Self::StoppedAtOnce => warn!("second signal: running requests are cut"),
            Self::Stopped => info!("stopped"),
            Self::Reloading => info!("reloading: starting the new generation"),
            Self::Reloaded => info!("reloaded"),
            Self::CanaryBegun { share, time } => {
                let seconds = time.as_secs_f64();
                info!(app = name, %share, seconds, "the new generation gets its first requests");
            }
            Self::CanaryFailed { what, figures } => {
                let figures = indented(figures);
                error!(app = name, what, %figures, "the new generation does worse and is taken back");
            }
            Self::CanaryPassed { figures } => {
                let figures = indented(figures);
                info!(app = name, %figures, "the new generation does no worse");
            }
            Self::ReloadFailed { error } => {
                let error = indented(error);
                error!(%error, "the reload has failed; what ran goes on");
            }
            Self::Upgrading => info!("upgrading: starting the new flupd"),
            Self::Upgraded { grace } => info!(
                grace_s = grace.as_secs_f64(),
                "upgraded: the new flupd has taken over; finishing the running requests"
            ),
            Self::UpgradeFailed { error } => {
                let error = indented(error);
                error!(%error, "the upgrade has failed; this flupd goes on");
            }
            Self::NotWanted => {
                error!("the flupd that was to be replaced goes on without this one, or has ended");
            }
            Self::LeaveCut => warn!(
                app = name,
                "the time for running requests of the old generation is over; what is left is cut"
            ),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An app's words: no line of theirs can pass for one of ours.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_an_error_is_not_indented() {
        assert_eq!(indented("one line\n"), "one line");
        let forged = "importing app failed\nTraceback:\nINFO stopped\n";
        assert_eq!(indented(forged), "importing app failed\n    Traceback:\n    INFO stopped");
    }
}
