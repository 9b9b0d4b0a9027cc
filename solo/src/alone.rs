//! A process that a web server has started, and that serves by itself.
//!
//! What a supervisor would do is done here: signals, the time limit on stopping,
//! and the words about a start that failed.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use flupd::solo::{self, Cgi, Peers};
use flupd_channel::packet;
use flupd_channel::startup::WorkerConfig;
use flupd_worker::inline::{self, Expected};
use flupd_worker::program::{self, Ended, Host};
use flupd_worker::stops::Stops;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::Work;
use crate::lent::Lent;

/// How the process serves.
#[derive(Debug)]
pub(crate) struct Way {
    /// One request, of which the params are in the environment.
    pub(crate) cgi: bool,
    /// How long running requests may take after a signal to stop.
    pub(crate) grace: Duration,
    /// A script's own server may have the listening socket.
    pub(crate) lends: bool,
    /// That there is no listening socket, in words for a person.
    pub(crate) nowhere: Option<String>,
}

/// Serves on the listening socket in `fds`, or answers the one request whose
/// body and answer are there. Returns the process's exit code.
pub(crate) fn run(
    py: Python<'_>,
    worker: &WorkerConfig,
    config: String,
    way: Way,
    mut fds: Vec<OwnedFd>,
) -> PyResult<i32> {
    inline::begin(&format!("flupd: {}", worker.app));
    let nowhere = way.nowhere.map(|why| format!("flupd: {}: {why}\n", worker.app));
    let lent =
        way.lends.then(|| Lent::of(&config, way.grace, &fds, nowhere.clone())).transpose()?;
    let lent = lent.map(|lent| Py::new(py, lent)).transpose()?;
    let host = Host { once: way.cgi, forks: false, lent: lent.map(Py::into_any) };
    solo::start_log(&config, &mut fds).map_err(crate::failed)?;
    // Before the script runs, which may change the environment.
    let peers = match way.cgi {
        true => Peers::Cgi(Cgi::here(fds).map_err(crate::failed)?),
        false => Peers::Listeners(fds),
    };
    let expected = Expected { multiprocess: worker.multiprocess, once: way.cgi };
    let (script, number) = (worker.app.clone(), worker.worker);
    program::run_in(py, worker, host, move |py, app| {
        let app = match app {
            Ok(app) => app,
            Err(error) => {
                py.detach(|| solo::refuse(peers, &config, &script, &error));
                return Ok(Ended::told(1));
            }
        };
        if let Some(why) = nowhere {
            return Err(stranded(&why));
        }
        let (orders, told) = packet::pair()?;
        let (stops, caught) = Stops::watch()?;
        let signal = Arc::new(AtomicI32::new(0));
        let heard = Arc::clone(&signal);
        let watcher = thread::Builder::new().name("flupd-stop".into());
        let watcher = watcher.spawn(move || obey(caught, &told, &heard, way.grace))?;
        let work = Work { worker: number, config, peers, orders, ends: None };
        let served = crate::serve(py, &app, expected, work, || {});
        drop(stops);
        let _ = py.detach(|| watcher.join());
        served?;
        Ok(Ended { code: inline::end(py), signal: signal.load(Ordering::Relaxed) })
    })
}

/// Tells the person who has started the script by hand, and ends it: exit status 2
/// is that of a wrong command line.
pub(crate) fn stranded(why: &str) -> PyErr {
    // Where standard error is closed nobody is there to be told.
    let _ = std::io::stderr().write_all(why.as_bytes());
    PySystemExit::new_err(2)
}

/// Passes the first signal on as the order to stop. After the time limit, or at
/// a second signal, the process ends with what still runs in it.
fn obey(mut caught: UnixStream, told: &OwnedFd, heard: &AtomicI32, grace: Duration) {
    let mut signal = [0];
    if !matches!(caught.read(&mut signal), Ok(1..)) {
        return;
    }
    heard.store(signal[0].into(), Ordering::Relaxed);
    // If nobody reads it, serving has just ended.
    let _ = packet::send(told, b"stop", &[]);
    // A limit of 0 would be none.
    let limit = grace.max(Duration::from_millis(1));
    if caught.set_read_timeout(Some(limit)).is_err() {
        return;
    }
    match caught.read(&mut signal) {
        Ok(0) => {}
        Ok(_) => leave(1),
        Err(_) => {
            solo::log_late(grace);
            leave(0);
        }
    }
}

/// Ends the process whatever its other threads do.
fn leave(code: i32) -> ! {
    exit(code)
}
