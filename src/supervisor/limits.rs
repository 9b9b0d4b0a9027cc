//! How many files may be open: enough for every app thread's socket and for the
//! web server's connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::config::ServeConfig;

/// Descriptors that a process needs beside those of app threads.
const SPARE: u64 = 64;

/// The limit on open files, as it was before we raised it.
#[derive(Debug, Clone)]
pub(super) struct OpenFiles {
    before: Rlimit,
}

/// The limit is too low for what is asked.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{threads} app threads need {needed} open files, and this process may have {limit}; \
     raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit) or ask for less"
)]
pub struct TooFewFiles {
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
        let threads = config.apps.iter().map(|app| app.workers.saturating_mul(app.threads));
        check(threads.fold(0, usize::saturating_add), now)?;
        Ok(Self { before })
    }

    /// What the app shall see: `select(2)` in old libraries can't take
    /// descriptors past 1023.
    pub(super) fn before(&self) -> Rlimit {
        Rlimit { current: self.before.current, maximum: self.before.maximum }
    }
}

fn check(threads: usize, limit: Option<u64>) -> Result<(), TooFewFiles> {
    let needed = (threads as u64).saturating_add(SPARE);
    match limit {
        Some(limit) if limit < needed => Err(TooFewFiles { threads, needed, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_threads_are_refused_with_the_number_needed() {
        assert_eq!(check(16, Some(1024)), Ok(()));
        assert_eq!(check(256_000, None), Ok(()));
        let text = check(1000, Some(1024)).unwrap_err().to_string();
        assert!(text.contains("1000 app threads need 1064 open files"), "{text}");
    }
}
