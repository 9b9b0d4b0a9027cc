//! How the start went, for who has started flupd: a web server can be told why
//! there is nobody to answer it.

use std::cell::RefCell;
use std::os::fd::OwnedFd;

use super::notes::Note;

/// What is kept for the case that flupd can't start.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    /// The web server's listening socket, until flupd is ready.
    socket: RefCell<Option<OwnedFd>>,
    failed: RefCell<Option<String>>,
}

impl Beginning {
    /// Keeps this socket until flupd is ready.
    pub(crate) fn on(socket: Option<OwnedFd>) -> Self {
        Self { socket: RefCell::new(socket), failed: RefCell::default() }
    }

    /// The socket, and why nobody serves on it; `None` when flupd was ready once, or
    /// was told to stop before.
    pub(crate) fn failure(&self) -> Option<(OwnedFd, String)> {
        Some((self.socket.take()?, self.failed.take()?))
    }

    /// Nobody wants to hear of it any more.
    pub(super) fn forgive(&self) {
        self.socket.take();
    }

    /// What the log says may be the end of the beginning.
    pub(super) fn heed(&self, note: &Note) {
        match note {
            Note::Ready => self.forgive(),
            Note::ImportFailed { error, again_in: None, .. }
            | Note::PreloadFailed { error, again_in: None } => self.fail(error),
            Note::StartFailed { cause }
            | Note::ZygoteStartFailed { cause }
            | Note::GatewayFailed { cause } => self.fail(cause),
            _ => {}
        }
    }

    /// flupd does not start, for this reason.
    pub(crate) fn fail(&self, why: &str) {
        self.failed.replace(Some(why.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Beginning {
        Beginning::on(Some(std::fs::File::open("/dev/null").unwrap().into()))
    }

    #[test]
    fn only_a_start_that_failed_is_told() {
        let cause = || "killed".to_owned();
        let failed = begun();
        failed.heed(&Note::StartFailed { cause: cause() });
        assert_eq!(failed.failure().unwrap().1, "killed");

        let stopped = begun();
        stopped.heed(&Note::Stopped);
        assert!(stopped.failure().is_none());

        let ready = begun();
        ready.heed(&Note::Ready);
        ready.heed(&Note::StartFailed { cause: cause() });
        assert!(ready.failure().is_none());
    }
}
