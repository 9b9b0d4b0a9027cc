//! Forks: those of an app, and our own.
//!
//! A child that an app forks, and that comes back into the worker's loop, shares
//! the port with its parent. One byte of it there would spoil the parent's
//! answers, so it leaves before it writes anything.
#![allow(unsafe_code)]

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::ffi::{PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork};
use pyo3::prelude::*;
use rustix::process::Pid;

use crate::exchange::to_stderr;
use crate::leaving::exit_code;
use crate::{failure, stops};

static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
    stops::give_back();
}

/// Watches for forks from here on, by Python or by an extension module.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(register);
}

fn register() {
    // SAFETY: the handler lives as long as the library, which is never
    // unloaded, and does nothing but store to atomics and make system calls, which
    // is allowed between fork and exec. It fails only without memory; then children are
    // not noticed, as without it.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

/// This process was forked to be a worker: it counts as one of its own.
pub(crate) fn adopt() {
    FORKED.store(false, Ordering::Relaxed);
}

/// Whether this process is a child that the app forked.
pub(crate) fn in_a_child() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Forks this process as `os.fork` does, hooks of `os.register_at_fork` included.
/// Returns the child's process id; `None` in the child, which counts as a
/// process of its own from here on. Main thread only.
///
/// # Errors
/// What `fork(2)` reports: `EAGAIN` when there are too many processes.
pub(crate) fn fork(_attached: Python<'_>) -> io::Result<Option<Pid>> {
    // SAFETY: the interpreter is attached, which the token shows, as the calls
    // around fork demand. The child goes on with Python in this thread, as a
    // child of `os.fork` does. What C code has buffered for its streams is
    // written once, not by each child.
    let forked = unsafe {
        libc::fflush(std::ptr::null_mut());
        PyOS_BeforeFork();
        let pid = libc::fork();
        let error = io::Error::last_os_error();
        if pid == 0 {
            PyOS_AfterFork_Child();
        } else {
            PyOS_AfterFork_Parent();
        }
        if pid < 0 { Err(error) } else { Ok(Pid::from_raw(pid)) }
    };
    if matches!(forked, Ok(None)) {
        adopt();
    }
    forked
}

/// Ends the process at once: no `atexit`, no flushing of buffers that belong to
/// the parent.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// To be called with what each call into the app came to, before anything is
/// written: a forked child goes no further than here.
pub(crate) fn leave_if_child<T>(py: Python<'_>, result: &PyResult<T>) {
    if !in_a_child() {
        return;
    }
    leave(match result {
        Ok(_) => 0,
        Err(error) if error.is_instance_of::<PySystemExit>(py) => exit_code(py, error),
        Err(error) => {
            to_stderr(format!("{}\n", failure::traceback(py, error)).as_bytes());
            1
        }
    })
}
