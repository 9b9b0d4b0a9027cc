//! How many files may be open: enough for every app thread's socket and for the
//! web server's connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::config::ServeConfig;

/// Descriptors that a process needs beside those of app threads and workers.
const SPARE: u64 = 64;

/// What the supervisor has of each worker: two sockets, a pidfd, two pipes, a
/// lifeline. The gateway has one for each app thread.
const PER_WORKER: u64 = 6;

/// The limit on open files, as it was before we raised it.
#[derive(Debug, Clone)]
pub(super) struct OpenFiles {
    before: Rlimit,
}

/// The limit is too low for what is asked.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{workers} workers with {threads} app threads in all need {needed} open files, and this process \
     may have {limit}; raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit) or ask for less"
)]
pub struct TooFewFiles {
    workers: usize,
    threads: usize,
    needed: u64,
    limit: u64,
}

impl OpenFiles {
    /// Raises the limit of this process, and so the gateway's, as far as it may.
    pub(super) fn raise(config: &ServeConfig) -> Result<Self, TooFewFiles> {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        let now = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => before.maximum,
            Err(_) => before.current,
        };
        Self::fit(config, now)?;
        Ok(Self { before })
    }

    /// Whether as many may be open as this needs.
    pub(super) fn suffice(config: &ServeConfig) -> Result<(), TooFewFiles> {
        Self::fit(config, getrlimit(Resource::Nofile).current)
    }

    fn fit(config: &ServeConfig, limit: Option<u64>) -> Result<(), TooFewFiles> {
        let threads = config.apps.values().map(|app| app.workers.max.saturating_mul(app.threads));
        let workers = config.apps.values().map(|app| app.workers.max);
        let sum = usize::saturating_add;
        check(workers.fold(0, sum), threads.fold(0, sum), limit)
    }

    /// What the app shall see: `select(2)` in old libraries can't take
    /// descriptors past 1023.
    pub(super) fn before(&self) -> Rlimit {
        Rlimit { current: self.before.current, maximum: self.before.maximum }
    }
}

fn check(workers: usize, threads: usize, limit: Option<u64>) -> Result<(), TooFewFiles> {
    let supervisor = (workers as u64).saturating_mul(PER_WORKER);
    let needed = supervisor.max(threads as u64).saturating_add(SPARE);
    match limit {
        Some(limit) if limit < needed => Err(TooFewFiles { workers, threads, needed, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_threads_are_refused_with_the_number_needed() {
        assert_eq!(check(4, 16, Some(1024)), Ok(()));
        assert_eq!(check(1024, 256_000, None), Ok(()));
        let text = check(10, 1000, Some(1024)).unwrap_err().to_string();
        assert!(text.contains("1000 app threads in all need 1064 open files"), "{text}");
        let text = check(200, 200, Some(1024)).unwrap_err().to_string();
        assert!(text.contains("200 workers with 200 app threads in all need 1264"), "{text}");
    }
}
