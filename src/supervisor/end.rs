//! Waiting for the end of a process that is not our child.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The end of a process, to be waited for.
#[derive(Debug)]
pub(super) struct End {
    pidfd: AsyncFd<OwnedFd>,
}

impl End {
    /// Of the process that this pidfd refers to. Needs a running tokio runtime.
    pub(super) fn of(pidfd: OwnedFd) -> io::Result<Self> {
        // SAFETY: An `OwnedFd` always answers with the same open descriptor, and
        // the `AsyncFd` owns it until it is deregistered.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(Self { pidfd: pidfd.map_err(io::Error::from)? })
    }

    /// Returns when the process has ended, also if somebody has waited for it
    /// already.
    pub(super) async fn seen(&self) {
        // It can't fail while the runtime lives.
        let _ = self.pidfd.readable().await;
    }
}
