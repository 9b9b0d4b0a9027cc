//! Solo mode: flupd's gateway and its Python bridge in one library, which the
//! user's own interpreter imports as it imports a worker.
//!
//! All of it runs on the interpreter's main thread: the gateway detached from
//! Python, the app attached.

mod client;
mod embedded;

use std::os::fd::OwnedFd;

use flupd::solo::{self, App, Solo};
use flupd_channel::startup::{Task, WorkerConfig, receive_task, send_status};
use flupd_worker::inline::{self, Inline};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

/// The extension module that the bootstrap imports.
#[pymodule]
mod flupd_solo {
    #[pymodule_export]
    use super::client::{FastcgiClient, response_head, scgi_request};
    #[pymodule_export]
    use super::embedded::{Gateway, Scoreboard, Seat, forked};
    #[pymodule_export]
    use super::main;
}

/// Runs the process; returns its exit code.
#[pyfunction]
fn main(py: Python<'_>) -> PyResult<i32> {
    let socket = flupd_worker::supervisor()?;
    match py.detach(|| receive_task(&socket))? {
        Some((Task::Solo { worker, gateway }, listeners)) => {
            serve(py, socket, &worker, gateway, listeners)
        }
        Some(_) => Err(PyOSError::new_err("this library only serves alone")),
        None => Ok(0),
    }
}

fn serve(
    py: Python<'_>,
    supervisor: OwnedFd,
    worker: &WorkerConfig,
    config: String,
    listeners: Vec<OwnedFd>,
) -> PyResult<i32> {
    // Nobody sleeps on the other side, so nobody watches this bell.
    let ends = flupd_channel::create(1, &flupd_channel::bell()?)?;
    let (app, status) = inline::load(py, worker, ends.worker, solo::pump)?;
    let Some(app) = app else {
        py.detach(|| send_status(&supervisor, &status, &[]))?;
        return Ok(1);
    };
    let told = supervisor.try_clone()?;
    let solo = Solo { config, listeners, ends: ends.gateway, supervisor };
    let done = py.detach(|| {
        solo::run(solo, Box::new(Inlined(app)), || {
            // If the supervisor has gone, the gateway sees it next.
            let _ = send_status(&told, &status, &[]);
        })
    });
    done.map_err(|error| PyRuntimeError::new_err(format!("{error:#}")))?;
    Ok(inline::end(py))
}

/// The app, as the gateway sees it.
struct Inlined(Inline);

impl App for Inlined {
    fn step(&mut self) -> bool {
        self.0.step()
    }

    fn leaves(&self) -> bool {
        self.0.leaves()
    }
}
