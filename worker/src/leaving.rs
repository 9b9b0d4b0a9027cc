//! The end of a worker whose app has asked to exit.
//!
//! The other threads finish the request that they run and take no new one.
//! There is one end per process, so its state is the process's.

use std::sync::OnceLock;

use flupd_channel::worker::Stopper;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::exchange::to_stderr;
use crate::{failure, fork};

static PORTS: OnceLock<Vec<Stopper>> = OnceLock::new();
static CODE: OnceLock<i32> = OnceLock::new();

/// Names the ports that are to be stopped. Once, before the first request.
pub(crate) fn prepare(ports: Vec<Stopper>) {
    let _ = PORTS.set(ports);
    if begun() {
        stop();
    }
}

/// No thread takes another request. The first code counts.
pub(crate) fn begin(code: i32) {
    // A forked child shares the ports: to stop them would stop its parent.
    if !fork::in_a_child() && CODE.set(code).is_ok() {
        stop();
    }
}

/// Begins if this is a `SystemExit`; says with which code.
pub(crate) fn obey(py: Python<'_>, error: &PyErr) -> Option<i32> {
    if !error.is_instance_of::<PySystemExit>(py) {
        return None;
    }
    let code = exit_code(py, error);
    begin(code);
    Some(code)
}

/// Whether this worker leaves.
pub(crate) fn begun() -> bool {
    CODE.get().is_some()
}

/// The process's exit code.
pub(crate) fn code() -> i32 {
    CODE.get().copied().unwrap_or(0)
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

fn stop() {
    PORTS.get().into_iter().flatten().for_each(Stopper::stop);
}
