//! A worker process, by how it came to be.

use std::os::fd::OwnedFd;

use super::processes::Process;
use super::zygote::ForkedWorker;

/// A worker, by how it came to be.
pub(super) enum Worker {
    Started(Process),
    /// Serves connections itself; the socket on which it is told to stop.
    Solo(Process, OwnedFd),
    Forked(ForkedWorker),
}

impl Worker {
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Started(process) | Self::Solo(process, _) => Some(process.pid()),
            Self::Forked(worker) => worker.pid(),
        }
    }

    pub(super) fn kill(&mut self) {
        match self {
            Self::Started(process) | Self::Solo(process, _) => process.kill(),
            Self::Forked(worker) => worker.kill(),
        }
    }
}
