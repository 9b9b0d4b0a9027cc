//! The end of a request that has had its time: `flupd.RequestTimeout` is raised in
//! its thread.
//!
//! A worker of one thread runs the app on the main thread, where a Python signal
//! handler raises it: that ends sleep, recv and locks, too. The kernel sends
//! SIGWINCH when an order comes; as SIGURG ([`crate::probe`]) it is ignored where
//! it has no handler. With several threads the main thread takes the order and
//! has the interpreter raise it between two bytecodes of the thread that is meant.
//!
//! An order names a request by its number. It means nothing once the app is done
//! with that one, which the interpreter's lock makes certain: whether the request
//! runs is looked at, and changed, by who holds it.
//!
//! The same order may come several times, for a signal can be lost on whatever waits:
//! one that comes while the handler of SIGURG returns ends no system call that goes on
//! after that handler. It is obeyed once.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use flupd_channel::Activity;
use flupd_channel::probe::Order;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::{create_exception, ffi};

use crate::doorbell;

create_exception!(
    flupd,
    RequestTimeout,
    PyBaseException,
    "The request has had its time (--request-timeout). Clean up and let it pass: the client \
     gets a 504. Not an Exception, so that no catch-all of a framework takes it for an error."
);

/// Tells the main thread that a request has had its time.
const LIMIT: c_int = libc::SIGWINCH;

static LIMITS: OnceLock<Limits> = OnceLock::new();

struct Limits {
    orders: OwnedFd,
    /// Python's own handler, which has the main thread run the one in Python.
    trip: Option<extern "C" fn(c_int)>,
    pid: u32,
    threads: Vec<Thread>,
}

struct Thread {
    activity: Activity,
    /// As `threading.get_ident` has it; 0 while there is none.
    ident: AtomicU64,
    /// The request whose time is over, or 0.
    ordered: AtomicU32,
    /// The last one that has been told so.
    told: AtomicU32,
    /// Whether an exception may be on its way.
    raised: AtomicBool,
}

/// Takes orders from here on for threads that do this. Main thread only, once.
///
/// # Errors
/// What Python or the operating system report.
pub(crate) fn install(
    py: Python<'_>,
    orders: OwnedFd,
    activities: impl Iterator<Item = Activity>,
) -> PyResult<()> {
    let threads: Vec<_> = activities.map(Thread::new).collect();
    let alone = threads.len() == 1;
    let trip = if alone { Some(python_handler(py)?) } else { None };
    let limits = Limits { orders, trip, pid: std::process::id(), threads };
    let limits = LIMITS.get_or_init(|| limits);
    if alone {
        // System calls must end: without SA_RESTART.
        doorbell::handle(LIMIT, ordered, libc::SA_ONSTACK)?;
        doorbell::signal_when_readable(&limits.orders, LIMIT)?;
    }
    Ok(())
}

/// Makes the module `flupd`, for apps to import.
pub(crate) fn module(py: Python<'_>) -> PyResult<()> {
    let module = PyModule::new(py, "flupd")?;
    module.add("RequestTimeout", py.get_type::<RequestTimeout>())?;
    py.import("sys")?.getattr("modules")?.set_item("flupd", module)
}

/// Where orders come when the main thread is to wait for them.
pub(crate) fn orders() -> Option<BorrowedFd<'static>> {
    LIMITS.get().map(|limits| limits.orders.as_fd())
}

/// The app thread of this number begins, in this thread.
///
/// # Errors
/// What a signal handler of the app raises meanwhile.
pub(crate) fn enter(py: Python<'_>, number: usize) -> PyResult<()> {
    if let Some(thread) = thread(number) {
        let ident = py.import("threading")?.call_method0("get_ident")?.extract()?;
        thread.ident.store(ident, Ordering::Relaxed);
    }
    Ok(())
}

/// The main thread's part while others run the app: carries out what has been
/// ordered.
pub(crate) fn obey(py: Python<'_>) {
    let Some(limits) = LIMITS.get() else { return };
    while let Some(order) = limits.next() {
        let Some(thread) = limits.threads.get(usize::from(order.thread)) else { continue };
        if thread.activity.runs(order.number)
            && thread.told.swap(order.number, Ordering::Relaxed) != order.number
        {
            thread.raised.store(true, Ordering::Relaxed);
            thread.raise(py.get_type::<RequestTimeout>().as_ptr());
        }
    }
}

/// The app of this thread is done with its request: no exception hits what
/// follows.
pub(crate) fn over(_py: Python<'_>, number: usize) {
    if let Some(thread) = thread(number)
        && thread.raised.swap(false, Ordering::Relaxed)
    {
        thread.raise(std::ptr::null_mut());
    }
}

fn thread(number: usize) -> Option<&'static Thread> {
    LIMITS.get()?.threads.get(number)
}

impl Limits {
    fn next(&self) -> Option<Order> {
        let mut bytes = [0; Order::SIZE];
        let read = rustix::io::read(&self.orders, &mut bytes);
        (read == Ok(Order::SIZE)).then(|| Order::from_bytes(bytes))
    }
}

impl Thread {
    fn new(activity: Activity) -> Self {
        Self {
            activity,
            ident: AtomicU64::new(0),
            ordered: AtomicU32::new(0),
            told: AtomicU32::new(0),
            raised: AtomicBool::new(false),
        }
    }

    /// Has the interpreter raise this in the thread, or forget what it was to
    /// raise. Attached.
    fn raise(&self, exception: *mut ffi::PyObject) {
        let ident = self.ident.load(Ordering::Relaxed);
        // SAFETY: attached, as every caller is. The exception is a class that
        // lives as long as the interpreter, or null; a thread that is not there
        // changes nothing.
        unsafe { ffi::PyThreadState_SetAsyncExc(ident as _, exception) };
    }
}

/// Has Python handle the signal, and returns its handler in C.
fn python_handler(py: Python<'_>) -> PyResult<extern "C" fn(c_int)> {
    let raise = pyo3::wrap_pyfunction!(raise, py)?;
    py.import("signal")?.call_method1("signal", (LIMIT, raise))?;
    Ok(doorbell::handler(LIMIT)?)
}

/// Runs in a signal handler: nothing is allocated, no lock is taken.
extern "C" fn ordered(signal: c_int) {
    let Some(limits) = LIMITS.get() else { return };
    // A forked child would take what is meant for its parent.
    if std::process::id() != limits.pid {
        return;
    }
    let errno = doorbell::Errno::keep();
    while let (Some(order), Some(thread)) = (limits.next(), limits.threads.first()) {
        if thread.told.load(Ordering::Relaxed) == order.number {
            continue;
        }
        thread.ordered.store(order.number, Ordering::Relaxed);
        if let Some(trip) = limits.trip {
            trip(signal);
        }
    }
    drop(errno);
}

/// What Python calls on the main thread once it can.
#[pyfunction]
fn raise(_signal: i32, _frame: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(thread) = thread(0) else { return Ok(()) };
    let number = thread.ordered.swap(0, Ordering::Relaxed);
    if number == 0 || !thread.activity.runs(number) {
        return Ok(());
    }
    thread.told.store(number, Ordering::Relaxed);
    Err(RequestTimeout::new_err("the request has had its time"))
}
