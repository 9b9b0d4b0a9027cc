//! The app threads: one for each port.
//!
//! A worker of one port runs the app on the main thread. With more, each port
//! gets a `threading.Thread`, and the main thread waits and runs signal handlers.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use flupd_channel::probe::Probed;
use flupd_channel::worker::{EncodedParams, Port, Received, Request};
use flupd_channel::{ChannelError, Outcome};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{Shutdown, shutdown};

use crate::environ::{self, Environs};
use crate::exchange::to_stderr;
use crate::gate::{self, Busy};
use crate::input::Input;
use crate::serve::Server;
use crate::signals::{Signals, Waited};
use crate::{failure, leaving, limits, probe, watcher};

/// The app threads of this worker, ready to serve.
pub(crate) struct Threads {
    signals: Signals,
    threads: Running,
}

enum Running {
    /// One, to be run by the main thread.
    Here(Box<AppThread>),
    /// Several, which run already.
    Beside {
        threads: Vec<Py<PyAny>>,
        /// Counts those that have ended.
        ended: Arc<OwnedFd>,
    },
}

impl Threads {
    /// Prepares one app thread for each port. Main thread only.
    pub(crate) fn new(
        py: Python<'_>,
        app: &Py<PyAny>,
        multiprocess: bool,
        ports: Vec<Port>,
        probed: Probed,
    ) -> PyResult<Self> {
        let stoppers = ports.iter().map(Port::stopper).collect();
        leaving::prepare(stoppers);
        let no_input = Py::new(py, Input::empty())?;
        let template = environ::template(py, ports.len() > 1, multiprocess, &no_input)?.unbind();
        let signals = Signals::new(py)?;
        watch(py, probed, &ports);
        let mut threads: Vec<AppThread> = ports
            .into_iter()
            .enumerate()
            .map(|(number, port)| AppThread {
                server: Server::new(
                    number,
                    port.activity(),
                    app.clone_ref(py),
                    Environs::new(template.clone_ref(py)),
                    no_input.clone_ref(py),
                ),
                port: Box::new(port),
            })
            .collect();
        let threads = match threads.pop() {
            Some(only) if threads.is_empty() => Running::Here(Box::new(only)),
            last => {
                threads.extend(last);
                start(py, threads)?
            }
        };
        Ok(Self { signals, threads })
    }

    /// Serves until the gateway wants no more of this worker, or the app has
    /// asked to exit. Returns the process's exit code.
    pub(crate) fn serve(self, py: Python<'_>) -> PyResult<i32> {
        let Self { signals, threads } = self;
        match threads {
            Running::Here(thread) => thread.run(py, Some(&signals)),
            Running::Beside { threads, ended } => {
                wait(py, &ended, threads.len() as u64, &signals);
                for thread in threads {
                    // It is past its last request. Only a signal handler can
                    // raise here, and it needn't be joined to go on.
                    let joined = thread.bind(py).call_method0("join");
                    joined.map_or_else(|error| obey(py, &error), drop);
                }
            }
        }
        watcher::stop(py);
        signals.release(py)?;
        Ok(leaving::code())
    }
}

/// Has the gateway know where the threads are, and end requests. Without it the
/// app runs as well.
pub(crate) fn watch(py: Python<'_>, probed: Probed, ports: &[Port]) {
    let watched = probe::install(py, probed.asks, probed.answers);
    let limited = limits::install(py, probed.limits, ports.iter().map(Port::activity));
    if let Err(error) = watched.and(limited)
        && leaving::obey(py, &error).is_none()
    {
        let what = "nobody can ask where it is, or end a request";
        to_stderr(format!("flupd worker: {what}: {error}\n").as_bytes());
    }
}

fn start(py: Python<'_>, threads: Vec<AppThread>) -> PyResult<Running> {
    gate::enable();
    let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    let ended = Arc::new(ended.map_err(std::io::Error::from)?);
    let class = py.import("threading")?.getattr("Thread")?;
    let mut started = Vec::with_capacity(threads.len());
    for (number, thread) in threads.into_iter().enumerate() {
        let target = Target { thread: Mutex::new(Some((thread, Ended(Arc::clone(&ended))))) };
        let options = PyDict::new(py);
        options.set_item("target", Bound::new(py, target)?)?;
        options.set_item("name", format!("flupd-{}", number + 1))?;
        // Should the main thread fail, the interpreter must not wait for them.
        options.set_item("daemon", true)?;
        let thread = class.call((), Some(&options))?;
        thread.call_method0("start")?;
        started.push(thread.unbind());
    }
    Ok(Running::Beside { threads: started, ended })
}

/// The main thread's part while others run the app: signal handlers.
fn wait(py: Python<'_>, ended: &OwnedFd, count: u64, signals: &Signals) {
    let mut running = count;
    let mut fds = vec![ended.as_fd()];
    fds.extend(limits::orders());
    while running > 0 {
        match gate::detached(py, || signals.wait(&fds)) {
            Waited::Signal => handle_signals(py, signals),
            Waited::Ready(1..) => limits::obey(py),
            Waited::Ready(0) => {
                let mut count = [0; 8];
                if rustix::io::read(ended, &mut count).is_ok() {
                    running = running.saturating_sub(u64::from_ne_bytes(count));
                }
            }
        }
    }
}

/// One port and what serves it.
struct AppThread {
    port: Box<Port>,
    server: Server,
}

impl AppThread {
    /// Serves until the port ends. `signals` on the main thread only.
    fn run(self, py: Python<'_>, signals: Option<&Signals>) {
        let Self { mut port, mut server } = self;
        server.enter(py).unwrap_or_else(|error| obey(py, &error));
        let mut busy = Some(Busy::new());
        let (mut outcome, mut params) = (None, EncodedParams::default());
        let ended = loop {
            match next(py, &mut port, outcome, params, &mut busy, signals) {
                Ok(Some(request)) => match server.serve(py, request, port) {
                    Some(served) => {
                        (port, params) = (served.port, served.params);
                        outcome = Some(served.outcome);
                    }
                    None => return,
                },
                Ok(None) | Err(ChannelError::Closed) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // A child that the app forked may hold the socket too: closing ours would
        // not be seen. It only fails when the gateway has gone, which is as good.
        let _ = shutdown(port.as_fd(), Shutdown::Both);
        drop(port);
        if let Err(error) = ended {
            to_stderr(format!("flupd worker: a port to the gateway failed: {error}\n").as_bytes());
        }
    }
}

/// Ends the last answer and waits for the next request, whose params may use
/// the memory of the last one's.
fn next(
    py: Python<'_>,
    port: &mut Port,
    mut outcome: Option<Outcome>,
    mut params: EncodedParams,
    busy: &mut Option<Busy>,
    signals: Option<&Signals>,
) -> Result<Option<Request>, ChannelError> {
    // Letting go of the interpreter and taking it again costs more than this.
    if !gate::is_crowded() && port.can_end() {
        if let Some(outcome) = outcome.take() {
            port.end(outcome)?;
        }
        if let Some(request) = port.try_receive_into(&mut params)? {
            return Ok(Some(request));
        }
    }
    loop {
        let (last, params) = (outcome.take(), std::mem::take(&mut params));
        let next = gate::detached(py, || {
            last.map_or(Ok(()), |outcome| port.end(outcome))?;
            drop(busy.take());
            let received = port.receive_into(params);
            *busy = Some(Busy::new());
            received
        })?;
        match (next, signals) {
            (Received::Request(request), _) => return Ok(Some(request)),
            (Received::Closed, _) => return Ok(None),
            (Received::Interrupted, Some(signals)) => handle_signals(py, signals),
            (Received::Interrupted, None) => {}
        }
    }
}

/// Signal handlers that raise have nothing to interrupt here: it is said, and
/// `SystemExit` is obeyed.
fn handle_signals(py: Python<'_>, signals: &Signals) {
    if let Err(error) = signals.handle(py) {
        obey(py, &error);
    }
}

fn obey(py: Python<'_>, error: &PyErr) {
    if leaving::obey(py, error).is_none() {
        let traceback = failure::traceback(py, error);
        to_stderr(format!("a signal handler failed\n{traceback}\n").as_bytes());
    }
}

/// What a `threading.Thread` runs.
#[pyclass(frozen, module = "flupd_worker")]
struct Target {
    thread: Mutex<Option<(AppThread, Ended)>>,
}

#[pymethods]
impl Target {
    fn __call__(&self, py: Python<'_>) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, ended)) = thread {
            thread.run(py, None);
            drop(ended);
        }
    }
}

/// Tells the main thread that an app thread has ended, however it did.
struct Ended(Arc<OwnedFd>);

impl Drop for Ended {
    fn drop(&mut self) {
        // The counter can't overflow, so it never waits.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}
