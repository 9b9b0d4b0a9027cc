//! Solo mode: flupd's gateway and its Python bridge in one library, which the
//! user's own interpreter imports as it imports a worker.
//!
//! All of it runs on the interpreter's main thread: the gateway detached from
//! Python, the app attached. `alone` is the process that a web server starts,
//! which has no supervisor.

mod alone;
mod client;
mod embedded;
mod lent;

use std::os::fd::OwnedFd;

use flupd::solo::{self, App, Peers, Solo};
use flupd_channel::Ends;
use flupd_channel::startup::{Task, WorkerConfig, WorkerStatus, receive_task, send_status};
use flupd_worker::inline::{self, Expected, Inline};
use flupd_worker::program::{self, Ended};
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
#[pyo3(pass_module)]
fn main(library: &Bound<'_, PyModule>) -> PyResult<i32> {
    let py = library.py();
    // A script may have its flup listen elsewhere.
    flupd_worker::flup::use_library(library)?;
    let socket = flupd_worker::supervisor()?;
    match py.detach(|| receive_task(&socket))? {
        Some((Task::Solo { worker, gateway }, listeners)) => {
            supervised(py, socket, &worker, gateway, listeners)
        }
        Some((Task::Alone { worker, gateway, cgi, grace, lends, nowhere }, fds)) => {
            alone::run(py, &worker, gateway, alone::Way { cgi, grace, lends, nowhere }, fds)
        }
        Some(_) => Err(PyOSError::new_err("this library only serves alone")),
        None => Ok(0),
    }
}

fn supervised(
    py: Python<'_>,
    supervisor: OwnedFd,
    worker: &WorkerConfig,
    config: String,
    mut listeners: Vec<OwnedFd>,
) -> PyResult<i32> {
    let ends = Ends::split_off(&mut listeners, 1)?;
    solo::start_log(&config, &mut listeners).map_err(failed)?;
    inline::begin(&format!("flupd: solo {} ({})", worker.worker, worker.app));
    let expected = Expected { multiprocess: worker.multiprocess, once: false };
    let number = worker.worker;
    program::run(py, worker, move |py, app| {
        let app = match app {
            Ok(app) => app,
            Err(error) => {
                py.detach(|| send_status(&supervisor, &WorkerStatus::Failed { error }, &[]))?;
                return Ok(Ended::told(1));
            }
        };
        let (told, status) = (supervisor.try_clone()?, program::ready(&app));
        let peers = Peers::Listeners(listeners);
        let work = Work { worker: number, config, peers, orders: supervisor, ends: Some(ends) };
        serve(py, &app, expected, work, || {
            // If the supervisor has gone, the gateway sees it next.
            let _ = send_status(&told, &status, &[]);
        })?;
        Ok(Ended::told(inline::end(py)))
    })
}

/// What is to be served.
struct Work {
    /// The worker's number.
    worker: u64,
    /// A `GatewayConfig` as JSON.
    config: String,
    peers: Peers,
    orders: OwnedFd,
    /// The ends of a channel with a probe, if the supervisor has made one, which then
    /// looks on.
    ends: Option<Ends>,
}

/// Serves until it is ordered to stop, or the app leaves. `ready` is called when
/// requests are accepted.
fn serve(
    py: Python<'_>,
    app: &program::App,
    expected: Expected,
    work: Work,
    ready: impl FnOnce() + Send,
) -> PyResult<()> {
    let Work { worker, config, peers, orders, ends } = work;
    let looked_on = ends.is_some();
    let probed = looked_on || solo::is_limited(&config).map_err(failed)?;
    let ends = match ends {
        Some(ends) => ends,
        // Nobody sleeps on the other side, so nobody watches this bell.
        None => {
            let ends = flupd_channel::create(1, &flupd_channel::bell()?)?;
            if probed { ends.with_probe()? } else { ends }
        }
    };
    let app = Inlined(Inline::new(py, app, expected, ends.worker, probed, solo::pump)?);
    let solo = Solo { worker, config, peers, ends: ends.gateway, looked_on, orders };
    let done = py.detach(|| solo::run(solo, Box::new(app), ready));
    done.map_err(failed)
}

fn failed(error: anyhow::Error) -> PyErr {
    PyRuntimeError::new_err(format!("{error:#}"))
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
