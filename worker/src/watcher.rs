//! The thread that calls what apps want to have called when a client goes.
//!
//! It is started with the first [`watch`]: an app that never asks has no such
//! thread. The gateway wakes it, so it costs nothing while all clients stay.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flupd_channel::worker::{Running, on_cancel_here};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::exchange::Exchange;
use crate::fork::leave_if_child;
use crate::{failure, gate, leaving};

/// The longest sleep. Whoever has news wakes the thread.
const NAP: Duration = Duration::from_secs(60);

/// Never held while waiting for the interpreter.
static STATE: Mutex<State> =
    Mutex::new(State { stage: Stage::Unborn, requests: Vec::new(), calling: None });
static CALLED: Condvar = Condvar::new();

/// Whether the gateway runs in this process.
static GATEWAY_IS_HERE: AtomicBool = AtomicBool::new(false);
/// Told by that gateway.
static NEWS: Condvar = Condvar::new();

struct State {
    stage: Stage,
    requests: Vec<Watched>,
    /// Whose callback runs.
    calling: Option<Arc<Exchange>>,
}

enum Stage {
    Unborn,
    /// The thread is on its way, or runs. It sleeps at `place`.
    Alive {
        place: Place,
        thread: Option<Py<PyAny>>,
    },
    Leaving,
}

/// Where the thread sleeps.
#[derive(Clone)]
enum Place {
    /// At the channel of all requests of this process.
    Channel(Running),
    /// At [`NEWS`]: each app thread has a channel of its own.
    Here,
}

/// A request, and what is to be called when its client goes.
struct Watched {
    exchange: Arc<Exchange>,
    running: Running,
    callbacks: VecDeque<Py<PyAny>>,
    /// Tracebacks of callbacks that failed.
    failures: Vec<String>,
}

/// Says that the gateway runs in this process, which it tells of cancelled requests.
pub fn gateway_is_here() {
    on_cancel_here(tell);
    GATEWAY_IS_HERE.store(true, Ordering::Relaxed);
}

/// This process was forked to be one of several before a gateway elsewhere: no
/// thread of its parent's is here.
pub(crate) fn forked() {
    GATEWAY_IS_HERE.store(false, Ordering::Relaxed);
    // If it is held, then by a thread of the parent's: nothing can be done.
    if let Ok(mut state) = STATE.try_lock() {
        state.stage = Stage::Unborn;
        state.calling = None;
    }
}

/// There may be news. With the lock, so that it comes before or after a look.
fn tell() {
    drop(state());
    NEWS.notify_all();
}

/// Starts the thread if there is none. `request` is any of this process.
///
/// # Errors
/// Python's, when no thread can be started.
pub(crate) fn start(py: Python<'_>, request: Running) -> PyResult<()> {
    let place = match GATEWAY_IS_HERE.load(Ordering::Relaxed) {
        true => Place::Here,
        false => Place::Channel(request),
    };
    {
        let mut state = state();
        if !matches!(state.stage, Stage::Unborn) {
            return Ok(());
        }
        state.stage = Stage::Alive { place: place.clone(), thread: None };
    }
    let begin = || {
        let options = PyDict::new(py);
        options.set_item("target", Bound::new(py, Target { place })?)?;
        options.set_item("name", "flupd-cancel")?;
        options.set_item("daemon", true)?;
        let thread = py.import("threading")?.getattr("Thread")?.call((), Some(&options))?;
        thread.call_method0("start")?;
        PyResult::Ok(thread.unbind())
    };
    let begun = begin();
    let mut state = state();
    match (&mut state.stage, begun) {
        (Stage::Alive { thread, .. }, Ok(begun)) => *thread = Some(begun),
        (stage @ Stage::Alive { .. }, Err(error)) => {
            *stage = Stage::Unborn;
            return Err(error);
        }
        // The worker leaves meanwhile.
        _ => {}
    }
    Ok(())
}

/// Has `callback` called when this request is cancelled, or soon if it is.
pub(crate) fn watch(exchange: &Arc<Exchange>, running: Running, callback: Py<PyAny>) {
    let mut state = state();
    let known = state.requests.iter_mut().find(|watched| Arc::ptr_eq(&watched.exchange, exchange));
    match known {
        Some(watched) => watched.callbacks.push_back(callback),
        None => state.requests.push(Watched {
            exchange: Arc::clone(exchange),
            running,
            callbacks: VecDeque::from([callback]),
            failures: Vec::new(),
        }),
    }
    let place = match &state.stage {
        Stage::Alive { place, .. } => Some(place.clone()),
        Stage::Unborn | Stage::Leaving => None,
    };
    drop(state);
    place.inspect(Place::wake);
}

/// The request has ended: none of its callbacks runs any more after this. Returns
/// the tracebacks of those that failed.
pub(crate) fn forget(py: Python<'_>, exchange: &Arc<Exchange>) -> Vec<String> {
    let gone = gate::detached(py, || {
        let mut state = state();
        while state.calling.as_ref().is_some_and(|calling| Arc::ptr_eq(calling, exchange)) {
            state = CALLED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let at = state.requests.iter().position(|w| Arc::ptr_eq(&w.exchange, exchange));
        at.map(|at| state.requests.remove(at))
    });
    // Attached again: dropping the callbacks may run Python.
    gone.map_or_else(Vec::new, |watched| watched.failures)
}

/// Ends the thread, after the last request: it must not outlive the interpreter.
pub(crate) fn stop(py: Python<'_>) {
    let stage = std::mem::replace(&mut state().stage, Stage::Leaving);
    if let Stage::Alive { place, thread: Some(thread) } = stage {
        place.wake();
        // Only a signal handler can raise here.
        if let Err(error) = thread.bind(py).call_method0("join") {
            leaving::obey(py, &error);
        }
    }
}

/// The thread.
#[pyclass(frozen, module = "flupd_worker")]
struct Target {
    place: Place,
}

#[pymethods]
impl Target {
    fn __call__(&self, py: Python<'_>) {
        while let Some((exchange, callback)) = gate::detached(py, || self.next()) {
            let called = callback.bind(py).call0();
            leave_if_child(py, &called);
            let failure = called.err().and_then(|error| {
                let exits = leaving::obey(py, &error).is_some();
                (!exits).then(|| failure::traceback(py, &error))
            });
            drop(callback);
            let mut state = state();
            state.calling = None;
            let watched = state.requests.iter_mut().find(|w| Arc::ptr_eq(&w.exchange, &exchange));
            if let Some(watched) = watched {
                watched.failures.extend(failure);
            }
            drop(state);
            CALLED.notify_all();
        }
    }
}

impl Target {
    /// Waits for the next callback that is due; `None` when the worker leaves.
    fn next(&self) -> Option<(Arc<Exchange>, Py<PyAny>)> {
        loop {
            {
                let mut state = state();
                if matches!(state.stage, Stage::Leaving) {
                    return None;
                }
                if let Some(watched) = state.requests.iter_mut().find(|w| w.is_due())
                    && let Some(callback) = watched.callbacks.pop_front()
                {
                    let exchange = Arc::clone(&watched.exchange);
                    state.calling = Some(Arc::clone(&exchange));
                    return Some((exchange, callback));
                }
            }
            self.place.sleep();
        }
    }
}

impl Place {
    /// Returns when there may be news.
    fn sleep(&self) {
        match self {
            Self::Channel(request) => request.sleep(NAP, || state().has_news()),
            Self::Here => {
                let state = state();
                if !state.has_news() {
                    drop(NEWS.wait_timeout(state, NAP));
                }
            }
        }
    }

    fn wake(&self) {
        match self {
            Self::Channel(request) => request.wake(),
            Self::Here => tell(),
        }
    }
}

impl State {
    fn has_news(&self) -> bool {
        matches!(self.stage, Stage::Leaving) || self.requests.iter().any(Watched::is_due)
    }
}

impl Watched {
    fn is_due(&self) -> bool {
        !self.callbacks.is_empty() && self.running.is_cancelled()
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
