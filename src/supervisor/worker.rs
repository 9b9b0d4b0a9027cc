//! A worker process, by how it came to be.

use super::processes::Process;
use super::solo::SoloWorker;
use super::zygote::ForkedWorker;

/// A worker, by how it came to be.
pub(super) enum Worker {
    Started(Process),
    Solo(SoloWorker),
    Forked(ForkedWorker),
}

impl Worker {
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Started(process) => Some(process.pid()),
            Self::Solo(worker) => Some(worker.process.pid()),
            Self::Forked(worker) => worker.pid(),
        }
    }

    /// As one that serves connections itself.
    pub(super) const fn solo(&self) -> Option<&SoloWorker> {
        match self {
            Self::Solo(worker) => Some(worker),
            Self::Started(_) | Self::Forked(_) => None,
        }
    }

    pub(super) fn kill(&mut self) {
        match self {
            Self::Started(process) => process.kill(),
            Self::Solo(worker) => worker.process.kill(),
            Self::Forked(worker) => worker.kill(),
        }
    }
}
