//! One worker process, as the metrics have it.

use std::time::SystemTime;

use flupd_channel::waits::{Waits, WaitsOf};

use crate::observe::process::Usage;

/// A worker process that lives.
#[derive(Debug)]
pub(super) struct Worker {
    pid: u32,
    started: SystemTime,
    /// How long its threads have waited for the interpreter.
    waits: WaitsOf,
}

impl Worker {
    /// It has been started just now.
    pub(super) fn new(pid: u32, waits: WaitsOf) -> Self {
        Self { pid, started: SystemTime::now(), waits }
    }

    pub(super) fn waits(&self) -> Waits {
        self.waits.read()
    }

    /// Its memory in bytes; `None` if it has gone.
    pub(super) fn resident(&self) -> Option<u64> {
        Usage::of(self.pid).map(|usage| usage.memory)
    }

    pub(super) fn told(&self, number: u64) -> WorkerFacts {
        let usage = Usage::of(self.pid);
        WorkerFacts {
            number,
            pid: self.pid,
            started: self.started,
            resident: usage.map(|usage| usage.memory),
            cpu: usage.map(|usage| usage.cpu.as_secs_f64()),
        }
    }
}

/// What can be told of a worker.
#[derive(Debug)]
pub(super) struct WorkerFacts {
    pub(super) number: u64,
    pub(super) pid: u32,
    pub(super) started: SystemTime,
    /// In bytes; `None` if it has gone.
    pub(super) resident: Option<u64>,
    /// Of all its threads; `None` if it has gone.
    pub(super) cpu: Option<f64>,
}
