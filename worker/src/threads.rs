//! The app threads: one for each port.
//!
//! A worker of one port runs the app on the main thread. With more, each port
//! gets a `threading.Thread`, and the main thread waits and runs signal handlers.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use flupd_channel::worker::{Port, Request};
use flupd_channel::{ChannelError, Outcome};
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::event::{EventfdFlags, eventfd};

use crate::environ::{self, Environs};
use crate::exchange::to_stderr;
use crate::input::Input;
use crate::leaving::{Leaving, exit_code};
use crate::serve::Server;
use crate::signals::{Signals, Waited};
use crate::{failure, gate};

/// Serves requests until the gateway wants no more of this worker, or the app
/// has asked to exit. Returns the process's exit code.
pub(crate) fn run(
    py: Python<'_>,
    app: &Py<PyAny>,
    multiprocess: bool,
    ports: Vec<Port>,
) -> PyResult<i32> {
    let stoppers = ports.iter().map(Port::stopper).collect::<Result<_, _>>()?;
    let leaving = Arc::new(Leaving::new(stoppers));
    let template = environ::template(py, ports.len() > 1, multiprocess)?.unbind();
    let no_input = Py::new(py, Input::empty())?;
    let signals = Signals::new(py)?;
    let mut threads: Vec<AppThread> = ports
        .into_iter()
        .map(|port| AppThread {
            port,
            server: Server {
                app: app.clone_ref(py),
                environs: Environs::new(template.clone_ref(py)),
                no_input: no_input.clone_ref(py),
                leaving: Arc::clone(&leaving),
            },
        })
        .collect();
    match threads.pop() {
        Some(thread) if threads.is_empty() => thread.run(py, Some(&signals)),
        last => {
            threads.extend(last);
            run_side_by_side(py, threads, &leaving, &signals)?;
        }
    }
    signals.release(py)?;
    Ok(leaving.code())
}

fn run_side_by_side(
    py: Python<'_>,
    threads: Vec<AppThread>,
    leaving: &Leaving,
    signals: &Signals,
) -> PyResult<()> {
    gate::enable();
    let finished = Arc::new(
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(std::io::Error::from)?,
    );
    let mut running = threads.len() as u64;
    let class = py.import("threading")?.getattr("Thread")?;
    let mut started = Vec::with_capacity(threads.len());
    for (number, thread) in threads.into_iter().enumerate() {
        let target = Target { thread: Mutex::new(Some((thread, Finish(Arc::clone(&finished))))) };
        let options = PyDict::new(py);
        options.set_item("target", Bound::new(py, target)?)?;
        options.set_item("name", format!("flupd-{}", number + 1))?;
        // A daemon, so that a thread that hangs in the app can't hold up an
        // exit that another one asked for with os._exit or a signal.
        options.set_item("daemon", true)?;
        let thread = class.call((), Some(&options))?;
        thread.call_method0("start")?;
        started.push(thread);
    }
    while running > 0 {
        match gate::detached(py, || signals.wait(finished.as_fd())) {
            Waited::Signal => handle_signals(py, signals, leaving),
            Waited::Ready => {
                let mut count = [0; 8];
                if rustix::io::read(&*finished, &mut count).is_ok() {
                    running = running.saturating_sub(u64::from_ne_bytes(count));
                }
            }
        }
    }
    for thread in started {
        thread.call_method0("join")?;
    }
    Ok(())
}

/// One port and what serves it.
struct AppThread {
    port: Port,
    server: Server,
}

impl AppThread {
    /// Serves until the port ends. `signals` on the main thread only.
    fn run(self, py: Python<'_>, signals: Option<&Signals>) {
        let Self { mut port, mut server } = self;
        let mut outcome = None;
        let ended = loop {
            match next(py, &mut port, outcome, signals, &server.leaving) {
                Ok(Some(request)) => match server.serve(py, request, port) {
                    Some(served) => {
                        port = served.0;
                        outcome = Some(served.1);
                    }
                    None => return,
                },
                Ok(None) | Err(ChannelError::Closed) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        port.close();
        if let Err(error) = ended {
            to_stderr(format!("flupd worker: a port to the gateway failed: {error}\n").as_bytes());
        }
    }
}

/// Ends the last answer and waits for the next request.
fn next(
    py: Python<'_>,
    port: &mut Port,
    mut outcome: Option<Outcome>,
    signals: Option<&Signals>,
    leaving: &Leaving,
) -> Result<Option<Request>, ChannelError> {
    loop {
        let last = outcome.take();
        let next = gate::detached(py, || {
            if let Some(outcome) = last {
                port.end(outcome)?;
            }
            if signals.is_some_and(|signals| signals.wait(port.as_fd()) == Waited::Signal) {
                return Ok(None);
            }
            port.receive().map(Some)
        })?;
        match (next, signals) {
            (None, Some(signals)) => handle_signals(py, signals, leaving),
            (next, _) => return Ok(next.flatten()),
        }
    }
}

/// Signal handlers that raise have nothing to interrupt here: it is said, and
/// `SystemExit` is obeyed.
fn handle_signals(py: Python<'_>, signals: &Signals, leaving: &Leaving) {
    match signals.handle(py) {
        Ok(()) => {}
        Err(error) if error.is_instance_of::<PySystemExit>(py) => {
            leaving.begin(exit_code(py, &error));
        }
        Err(error) => {
            let traceback = failure::traceback(py, &error);
            to_stderr(format!("a signal handler failed\n{traceback}\n").as_bytes());
        }
    }
}

/// What a `threading.Thread` runs.
#[pyclass(frozen, module = "flupd_worker")]
struct Target {
    thread: Mutex<Option<(AppThread, Finish)>>,
}

#[pymethods]
impl Target {
    fn __call__(&self, py: Python<'_>) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, finish)) = thread {
            thread.run(py, None);
            drop(finish);
        }
    }
}

/// Tells the main thread that an app thread has ended, however it did.
struct Finish(Arc<OwnedFd>);

impl Drop for Finish {
    fn drop(&mut self) {
        // The counter can't overflow, so it never waits.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}
