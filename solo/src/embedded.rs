//! What the Python package `flup` is made of: a gateway, seats for app threads,
//! and a scoreboard on which they say what they do.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flupd::embedded::{self, Door, Options, Protocol, Report, Role};
use flupd_channel::Ends;
use flupd_channel::scoreboard::{self, MAX_PLACES, Mark};
use flupd_channel::worker::Stopper;
use flupd_worker::embedded as worker;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::lent::Lent;

/// How many app threads or processes there are at most.
const MOST_SEATS: usize = MAX_PLACES;

/// A gateway, which [`Gateway::run`] runs on whatever thread calls it.
#[pyclass(frozen, module = "flupd_solo")]
pub(crate) struct Gateway {
    ends: Mutex<(Option<embedded::Gateway>, Option<OwnedFd>)>,
}

#[pymethods]
impl Gateway {
    /// Prepares a gateway for a listening socket, which it duplicates. `lent` is what
    /// flupd has lent, if it has: its options hold then.
    #[new]
    // Most are keywords on Python's side.
    #[expect(clippy::too_many_arguments)]
    #[pyo3(signature = (listener, *, protocol, address, concurrency, multiplexed, roles, script_name, patience, lent=None))]
    fn new(
        listener: i32,
        protocol: &str,
        address: String,
        concurrency: usize,
        multiplexed: bool,
        roles: Vec<u16>,
        script_name: Option<String>,
        patience: f64,
        lent: Option<&Bound<'_, Lent>>,
    ) -> PyResult<Self> {
        let protocol = match protocol {
            "fastcgi" => Protocol::Fastcgi,
            "scgi" => Protocol::Scgi,
            other => return Err(PyValueError::new_err(format!("no such protocol: {other:?}"))),
        };
        let patience = match patience {
            0.0 => None,
            seconds => Some(
                Duration::try_from_secs_f64(seconds)
                    .map_err(|error| PyValueError::new_err(format!("a time limit: {error}")))?,
            ),
        };
        // A number that no role has is not accepted by any other name.
        let roles = roles.iter().filter_map(|number| match number {
            1 => Some(Role::Responder),
            2 => Some(Role::Authorizer),
            3 => Some(Role::Filter),
            _ => None,
        });
        let roles = roles.collect();
        let within = lent.map(|lent| embedded::parse(lent.get().config())).transpose();
        let within = within.map_err(|error| PyValueError::new_err(format!("{error:#}")))?;
        let options = Options {
            protocol,
            address,
            concurrency,
            multiplexed,
            roles,
            script_name,
            patience,
            within,
        };
        let listener = worker::duplicate(listener)?;
        let (gateway, control) = embedded::Gateway::new(options, listener)?;
        Ok(Self { ends: Mutex::new((Some(gateway), Some(control))) })
    }

    /// Runs it on this thread until it was told to stop and all is answered.
    /// `door` is asked whether a peer may connect: with (host, port), or with "" on
    /// a unix socket.
    #[pyo3(signature = (door=None))]
    fn run(&self, py: Python<'_>, door: Option<Py<PyAny>>) -> PyResult<()> {
        let control = self.ends().1.take();
        let control = control.ok_or_else(|| PyRuntimeError::new_err("it runs already"))?;
        worker::gateway_is_here();
        py.detach(|| embedded::run(control, door.map(asking)))
            .map_err(|error| PyRuntimeError::new_err(format!("{error:#}")))
    }

    /// The descriptor that `run` needs.
    fn control(&self) -> Option<i32> {
        self.ends().1.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Another process runs it: this one keeps its own end.
    fn runs_elsewhere(&self) {
        self.ends().1 = None;
    }

    /// This process has nothing to do with it.
    fn forget(&self) {
        *self.ends() = (None, None);
    }

    /// Readable when there is a report.
    fn fileno(&self) -> PyResult<i32> {
        self.with(|gateway| Ok(gateway.as_fd().as_raw_fd()))
    }

    /// What it has said: `None` for nothing new, "listening", "gone", or the
    /// number of a worker that must be ended.
    fn report(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(match self.with(embedded::Gateway::report)? {
            Report::Nothing => None,
            Report::Listening => Some("listening".into_pyobject(py)?.into_any().unbind()),
            Report::Gone => Some("gone".into_pyobject(py)?.into_any().unbind()),
            Report::Broken(worker, _) => Some(worker.into_pyobject(py)?.into_any().unbind()),
        })
    }

    /// A seat at which requests of this gateway can be served.
    fn seat(&self, board: &Scoreboard, place: usize) -> PyResult<Seat> {
        let Ends { gateway, worker } = self.with(embedded::Gateway::channel)?;
        let seat = worker::Seat::new(worker, Arc::clone(&board.0), place)?;
        let stopper = seat.stopper();
        Ok(Seat { seat: Mutex::new(Some(seat)), gateway: Mutex::new(gateway), stopper })
    }

    /// Requests go to this seat from now on. `worker` is its number.
    fn employ(&self, worker: u64, pid: u32, seat: &Seat) -> PyResult<()> {
        let ends = std::mem::take(&mut *lock(&seat.gateway));
        self.with(|gateway| gateway.employ(worker, pid, &ends))
    }

    /// No more requests go to this worker, which is let go when it has none.
    fn drain(&self, worker: u64) -> PyResult<()> {
        self.with(|gateway| gateway.drain(worker))
    }

    /// This worker has ended; the cause is for the log.
    fn exited(&self, worker: u64, cause: String, expected: bool) -> PyResult<()> {
        self.with(|gateway| gateway.exited(worker, cause, expected))
    }

    /// It accepts no more, finishes what was begun, then ends.
    fn stop(&self) -> PyResult<()> {
        self.with(embedded::Gateway::stop)
    }
}

impl Gateway {
    fn ends(&self) -> MutexGuard<'_, (Option<embedded::Gateway>, Option<OwnedFd>)> {
        lock(&self.ends)
    }

    fn with<T>(&self, call: impl FnOnce(&embedded::Gateway) -> io::Result<T>) -> PyResult<T> {
        match &self.ends().0 {
            Some(gateway) => Ok(call(gateway)?),
            None => Err(PyRuntimeError::new_err("this process has no such gateway")),
        }
    }
}

/// Asks a Python callable. If it raises, nobody comes in.
fn asking(callable: Py<PyAny>) -> Door {
    Box::new(move |peer| {
        Python::attach(|py| {
            let asked = match peer {
                Some(peer) => {
                    callable.call1(py, ((peer.ip().to_canonical().to_string(), peer.port()),))
                }
                None => callable.call1(py, ("",)),
            };
            let answer = asked.and_then(|answer| answer.is_truthy(py));
            answer.unwrap_or_else(|error| {
                error.print(py);
                false
            })
        })
    })
}

/// Where an app thread serves requests.
#[pyclass(frozen, module = "flupd_solo")]
pub(crate) struct Seat {
    seat: Mutex<Option<worker::Seat>>,
    /// The gateway's ends, until it has them.
    gateway: Mutex<Vec<OwnedFd>>,
    stopper: Stopper,
}

#[pymethods]
impl Seat {
    /// Serves requests with this app until the gateway lets it go, or enough of
    /// them are served. For `tick` see [`worker::Seat::serve`].
    #[pyo3(signature = (app, *, multithread, multiprocess, max_requests=0, tick=None))]
    fn serve(
        &self,
        py: Python<'_>,
        app: Py<PyAny>,
        multithread: bool,
        multiprocess: bool,
        max_requests: u64,
        tick: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let manner = worker::Manner { multithread, multiprocess, max_requests };
        lock(&self.gateway).clear();
        let seat = lock(&self.seat).take();
        seat.ok_or_else(|| PyRuntimeError::new_err("it has served already"))?
            .serve(py, app, &manner, tick)
    }

    /// It takes no more requests; the running one goes on.
    fn stop(&self) {
        self.stopper.stop();
    }
}

/// Who is idle and who is busy.
#[pyclass(frozen, module = "flupd_solo")]
pub(crate) struct Scoreboard(Arc<scoreboard::Scoreboard>);

#[pymethods]
impl Scoreboard {
    /// How many places one can have.
    #[classattr]
    const MOST: usize = MOST_SEATS;

    #[new]
    fn new(places: usize) -> PyResult<Self> {
        Ok(Self(Arc::new(scoreboard::Scoreboard::new(places)?)))
    }

    /// Its descriptor is readable when fewer than `least` or more than `most`
    /// have become idle.
    fn bound(&self, least: u32, most: u32) {
        self.0.bound(least, most);
    }

    fn fileno(&self) -> i32 {
        self.0.as_fd().as_raw_fd()
    }

    /// The descriptor is not readable until there is news again.
    fn hear(&self) -> PyResult<()> {
        Ok(self.0.hear()?)
    }

    /// Whoever is to come here counts as idle.
    fn expect(&self, place: usize) {
        self.0.mark(place, Mark::Idle);
    }

    /// Whoever was here has gone.
    fn clear(&self, place: usize) {
        self.0.mark(place, Mark::Nobody);
    }

    /// Whether whoever is here waits for a request.
    fn is_idle(&self, place: usize) -> bool {
        self.0.at(place) == Mark::Idle
    }

    /// How many wait for a request.
    fn idle(&self) -> u32 {
        self.0.count(Mark::Idle)
    }

    /// How many have a request.
    fn busy(&self) -> u32 {
        self.0.count(Mark::Busy)
    }
}

/// Makes a process that was just forked a worker, or a gateway, of its parent's:
/// it ends with it, and `ps` shows it under this title.
#[pyfunction]
pub(crate) fn forked(title: &str, parent: i32) -> PyResult<()> {
    Ok(worker::forked(title, parent)?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
