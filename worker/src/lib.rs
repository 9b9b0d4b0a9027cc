//! The Python side of flupd: runs a WSGI app inside the user's own interpreter.
//!
//! This library is not linked to any Python. The supervisor starts the user's
//! interpreter with a few lines of Python ([`BOOTSTRAP`]) that import it as an
//! extension module and call its `main`.
//!
//! A worker knows nothing of sockets or protocols: app threads take assembled
//! requests from their ports ([`flupd_channel::worker`]), call the app as PEP
//! 3333 says, and put head and body back.

mod answer;
mod body;
mod descriptor;
mod environ;
mod errors;
mod exchange;
mod failure;
mod file_wrapper;
mod fork;
mod gate;
mod head;
mod import;
mod input;
mod latin1;
mod leaving;
mod load;
mod response;
mod serve;
mod signals;
mod spec;
mod start_response;
mod startup;
mod threads;
mod title;

use std::io;

use flupd_channel::startup::{WorkerStatus, receive_config, send_status};
use pyo3::prelude::*;

use crate::threads::Threads;

/// The Python program that starts a worker: `PYTHON -c BOOTSTRAP LIBRARY`, with
/// the socket to the supervisor on descriptor
/// [`STATUS_FD`](flupd_channel::startup::STATUS_FD).
pub const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// The extension module that the bootstrap imports.
#[pymodule]
mod flupd_worker {
    #[pymodule_export]
    use super::main;
}

/// Runs the worker; returns the process's exit code.
#[pyfunction]
fn main(py: Python<'_>) -> PyResult<i32> {
    fork::watch();
    let socket = descriptor::status_socket().map_err(|error| {
        let why = "flupd's workers are started by `flupd serve`: no socket to a supervisor";
        io::Error::new(error.kind(), format!("{why}: {error}"))
    })?;
    let Some((config, ends)) = py.detach(|| receive_config(&socket))? else { return Ok(0) };
    title::set(&format!("flupd: worker {} ({})", config.worker, config.app));
    let ports = flupd_channel::worker::open(ends)?;
    let started = startup::start(py, &config).and_then(|app| {
        let threads = Threads::new(py, &app.callable, config.multiprocess, ports);
        Ok((app.name, threads.map_err(|error| failure::traceback(py, &error))?))
    });
    let (status, threads) = match started {
        Ok((app, threads)) => {
            (WorkerStatus::Ready { python: startup::python_version(), app }, Some(threads))
        }
        Err(error) => (WorkerStatus::Failed { error }, None),
    };
    py.detach(|| send_status(&socket, &status))?;
    threads.map_or(Ok(1), |threads| threads.serve(py))
}
