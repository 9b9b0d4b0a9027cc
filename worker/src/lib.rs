//! The Python side of flupd: runs a WSGI app inside the user's own interpreter.
//!
//! This library is not linked to any Python. The supervisor starts the user's
//! interpreter with a few lines of Python ([`BOOTSTRAP`]) that import it as an
//! extension module and call its `main`.
//!
//! A worker knows nothing of sockets or protocols: app threads take assembled
//! requests from their ports ([`flupd_channel::worker`]), call the app as PEP
//! 3333 says, and put head and body back.

mod allocator;
mod answer;
mod body;
mod cancelled;
mod descriptor;
mod doorbell;
pub mod embedded;
mod environ;
mod errors;
mod exchange;
mod failure;
mod file_wrapper;
pub mod flup;
mod fork;
mod gate;
mod handles;
mod head;
mod import;
pub mod inline;
mod input;
mod leaving;
mod lifeline;
mod limits;
mod load;
mod probe;
pub mod program;
mod raw;
mod response;
mod script;
mod serve;
mod shape;
mod signals;
mod spec;
mod start_response;
mod startup;
pub mod stops;
mod threads;
mod title;
mod watcher;
mod zygote;

use std::io;
use std::os::fd::OwnedFd;

use flupd_channel::observed;
use flupd_channel::probe::Probed;
use flupd_channel::startup::{Task, WorkerStatus, receive_task, send_status};
use pyo3::prelude::*;

use crate::load::App;
use crate::program::Ended;
use crate::threads::Threads;

/// The Python program that starts a worker or a zygote: `PYTHON -c BOOTSTRAP LIBRARY`, with
/// the socket to the supervisor on descriptor
/// [`STATUS_FD`](flupd_channel::startup::STATUS_FD).
pub const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// The extension module that the bootstrap imports.
#[pymodule]
mod flupd_worker {
    #[pymodule_export]
    use super::main;
}

/// Runs the worker or the zygote; returns the process's exit code.
#[pyfunction]
fn main(py: Python<'_>) -> PyResult<i32> {
    fork::watch();
    allocator::keep_memory();
    observed::begin();
    let socket = supervisor()?;
    match py.detach(|| receive_task(&socket))? {
        Some((Task::Serve(config), ends)) => {
            title::set(&format!("flupd: worker {} ({})", config.worker, config.app));
            let multiprocess = config.multiprocess;
            program::run(py, &config, move |py, app| serve(py, &socket, app, multiprocess, ends))
        }
        Some((Task::Preload(config), _)) => {
            title::set(&format!("flupd: zygote ({})", config.app));
            let (name, multiprocess) = (config.app.clone(), config.multiprocess);
            program::import(py, &(&config).into(), move |py, app| {
                match zygote::run(py, socket, app)? {
                    Some(born) => {
                        title::set(&format!("flupd: worker {} ({name})", born.worker));
                        serve(py, &born.socket, Ok(born.app), multiprocess, born.ends)
                    }
                    None => Ok(Ended::told(1)),
                }
            })
        }
        Some((Task::Solo { .. } | Task::Alone { .. }, _)) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "this library can't serve alone").into())
        }
        None => Ok(0),
    }
}

/// The socket to the supervisor, once.
///
/// # Errors
/// When this process was not started by `flupd serve`.
pub fn supervisor() -> io::Result<OwnedFd> {
    descriptor::status_socket().map_err(|error| {
        let why = "flupd's workers are started by `flupd serve`: no socket to a supervisor";
        io::Error::new(error.kind(), format!("{why}: {error}"))
    })
}

/// Runs the app, once it is said how its import went.
fn serve(
    py: Python<'_>,
    socket: &OwnedFd,
    app: Result<App, String>,
    multiprocess: bool,
    mut ends: Vec<OwnedFd>,
) -> PyResult<Ended> {
    let probed = Probed::split_off(&mut ends)?;
    let ports = flupd_channel::worker::open(ends)?;
    let started = app.and_then(|app| {
        let threads = Threads::new(py, &app.callable, multiprocess, ports, probed);
        Ok((app.name, threads.map_err(|error| failure::traceback(py, &error))?))
    });
    let (status, threads) = match started {
        Ok((app, threads)) => {
            (WorkerStatus::Ready { python: startup::python_version(), app }, Some(threads))
        }
        Err(error) => (WorkerStatus::Failed { error }, None),
    };
    py.detach(|| send_status(socket, &status, &[]))?;
    threads.map_or(Ok(1), |threads| threads.serve(py)).map(Ended::told)
}
