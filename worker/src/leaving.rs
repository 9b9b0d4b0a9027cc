//! The end of a worker whose app has asked to exit.
//!
//! The other threads finish the request that they run and take no new one.

use std::sync::OnceLock;

use flupd_channel::worker::Stopper;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::exchange::to_stderr;
use crate::failure;

/// Whether this worker leaves, and with which exit code.
pub(crate) struct Leaving {
    code: OnceLock<i32>,
    stoppers: Vec<Stopper>,
}

impl Leaving {
    /// Over all ports of the worker.
    pub(crate) const fn new(stoppers: Vec<Stopper>) -> Self {
        Self { code: OnceLock::new(), stoppers }
    }

    /// No thread takes another request. The first code counts.
    pub(crate) fn begin(&self, code: i32) {
        if self.code.set(code).is_ok() {
            self.stoppers.iter().for_each(Stopper::stop);
        }
    }

    pub(crate) fn begun(&self) -> bool {
        self.code.get().is_some()
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> i32 {
        self.code.get().copied().unwrap_or(0)
    }
}

/// The exit code that a `SystemExit` asks for, as `sys.exit` documents it: None
/// is 0, a number itself, anything else 1 after it has been printed.
pub(crate) fn exit_code(py: Python<'_>, exit: &PyErr) -> i32 {
    let Ok(code) = exit.value(py).getattr("code") else { return 1 };
    if code.is_none() {
        return 0;
    }
    if code.is_instance_of::<PyInt>() {
        // The system keeps the low byte.
        return code.call_method1("__and__", (0xff,)).and_then(|code| code.extract()).unwrap_or(1);
    }
    if let Ok(text) = code.str() {
        to_stderr(format!("{}\n", failure::lossy(&text)).as_bytes());
    }
    1
}
