//! The app of a process whose gateway runs on the same thread: requests are run
//! when the gateway has nothing else to do.

use std::io;
use std::os::fd::OwnedFd;

use flupd_channel::startup::{WorkerConfig, WorkerStatus};
use flupd_channel::worker::{EncodedParams, Port, Pump};
use pyo3::prelude::*;

use crate::environ::{self, Environs};
use crate::exchange::to_stderr;
use crate::input::Input;
use crate::serve::{Served, Server};
use crate::{allocator, failure, fork, leaving, startup, title, watcher};

/// An app that is ready to run requests.
pub struct Inline {
    port: Option<Port>,
    server: Server,
    /// Memory for the next request's params.
    params: EncodedParams,
}

/// Loads the app. `ends` are the worker's ends of its channel; `pump` has the
/// gateway do its work while the app runs. Returns also what to tell the
/// supervisor of the start.
///
/// # Errors
/// When `ends` are not what they must be. An app that can't be loaded is told
/// in the status.
pub fn load(
    py: Python<'_>,
    config: &WorkerConfig,
    ends: Vec<OwnedFd>,
    pump: fn(Pump),
) -> io::Result<(Option<Inline>, WorkerStatus)> {
    fork::watch();
    allocator::keep_memory();
    title::set(&format!("flupd: solo {} ({})", config.worker, config.app));
    let port = flupd_channel::worker::open(ends)?.pop();
    let port = port.ok_or(io::ErrorKind::InvalidData)?.inline(pump);
    leaving::prepare(vec![port.stopper()]);
    let loaded = startup::start(py, &config.into()).and_then(|app| {
        let server = (|| {
            let no_input = Py::new(py, Input::empty())?;
            let template = environ::template(py, false, config.multiprocess, &no_input)?.unbind();
            let app = app.callable.clone_ref(py);
            PyResult::Ok(Server::new(app, Environs::new(template), no_input))
        })();
        Ok((server.map_err(|error| failure::traceback(py, &error))?, app.name))
    });
    Ok(match loaded {
        Ok((server, app)) => {
            let python = startup::python_version();
            let inline = Inline { port: Some(port), server, params: EncodedParams::default() };
            (Some(inline), WorkerStatus::Ready { python, app })
        }
        Err(error) => (None, WorkerStatus::Failed { error }),
    })
}

impl Inline {
    /// Runs the next staged request to its end; `false` if there is none.
    pub fn step(&mut self) -> bool {
        let Some(mut port) = self.port.take() else { return false };
        let request = match port.try_receive_into(&mut self.params) {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.port = Some(port);
                return false;
            }
            Err(error) => {
                to_stderr(format!("flupd: a request can't be read: {error}\n").as_bytes());
                return false;
            }
        };
        let served = Python::attach(|py| self.server.serve(py, request, port));
        let Some(Served { mut port, outcome, params }) = served else { return false };
        // It only fails when the gateway has gone, and that is this process.
        let _ = port.end(outcome);
        (self.port, self.params) = (Some(port), params);
        true
    }

    /// Whether the app has asked to exit, or can't go on.
    #[must_use]
    pub fn leaves(&self) -> bool {
        leaving::begun() || self.port.is_none()
    }
}

/// Ends what runs beside the app. Returns the exit code that the app has asked
/// for, or 0.
pub fn end(py: Python<'_>) -> i32 {
    watcher::stop(py);
    leaving::code()
}
