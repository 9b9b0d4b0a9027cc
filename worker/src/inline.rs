//! The app of a process whose gateway runs on the same thread: requests are run
//! when the gateway has nothing else to do.

use std::io;
use std::os::fd::OwnedFd;

use flupd_channel::observed;
use flupd_channel::probe::Probed;
use flupd_channel::worker::{EncodedParams, Port, Pump};
use pyo3::intern;
use pyo3::prelude::*;

use crate::environ::{self, Environs};
use crate::exchange::to_stderr;
use crate::input::Input;
use crate::load::App;
use crate::serve::{Served, Server};
use crate::{allocator, fork, leaving, threads, title, watcher};

/// An app that is ready to run requests.
pub struct Inline {
    port: Option<Box<Port>>,
    server: Server,
    /// Memory for the next request's params.
    params: EncodedParams,
}

/// Prepares the process for an app that runs inline. Before anything is imported.
pub fn begin(title: &str) {
    fork::watch();
    allocator::keep_memory();
    observed::begin();
    title::set(title);
}

/// How often an app's process can be asked for an answer, as the app is told.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Other processes run the same app (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// There is one request (`wsgi.run_once`).
    pub once: bool,
}

impl Inline {
    /// The app, ready. `ends` are the worker's ends of its channel, with a probe if it
    /// is `probed`; `pump` has the gateway do its work while the app runs.
    ///
    /// # Errors
    /// When `ends` are not what they must be, or there is no memory.
    pub fn new(
        py: Python<'_>,
        app: &App,
        expected: Expected,
        mut ends: Vec<OwnedFd>,
        probed: bool,
        pump: fn(Pump),
    ) -> PyResult<Self> {
        let probed = probed.then(|| Probed::split_off(&mut ends)).transpose()?;
        let port = flupd_channel::worker::open(ends)?.pop();
        let port = port.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?.inline(pump);
        leaving::prepare(vec![port.stopper()]);
        let no_input = Py::new(py, Input::empty())?;
        let template = environ::template(py, false, expected.multiprocess, &no_input)?;
        template.set_item(intern!(py, "wsgi.run_once"), expected.once)?;
        let environs = Environs::new(template.unbind());
        let app = app.callable.clone_ref(py);
        let server = Server::new(0, port.activity(), app, environs, no_input);
        if let Some(probed) = probed {
            threads::watch(py, probed, std::slice::from_ref(&port));
            server.enter(py)?;
        }
        Ok(Self { port: Some(Box::new(port)), server, params: EncodedParams::default() })
    }

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
