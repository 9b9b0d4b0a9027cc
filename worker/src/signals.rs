//! The main thread's waiting, such that Python signal handlers run.
//!
//! Python runs handlers on the main thread only, and only between bytecodes; a
//! main thread that waits in a system call must be woken for them.

use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::event::{PollFd, PollFlags, poll};

/// Wakes the main thread when a signal has come that Python handles.
pub(crate) struct Signals {
    woken: UnixStream,
    /// Where Python's C handler writes.
    wake: UnixStream,
}

/// What a wait has ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The descriptor of this index is readable, and perhaps others.
    Ready(usize),
    /// A signal has come: see [`Signals::handle`].
    Signal,
}

impl Signals {
    /// Takes over `signal.set_wakeup_fd`. Main thread only.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let signals = Self { woken, wake };
        signals.set_wakeup(py, signals.wake.as_raw_fd())?;
        Ok(signals)
    }

    /// Waits until one of the descriptors is readable, or a signal comes.
    /// Detached.
    pub(crate) fn wait(&self, fds: &[BorrowedFd<'_>]) -> Waited {
        let mut polled = vec![PollFd::new(&self.woken, PollFlags::IN)];
        polled.extend(fds.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // An error is an interruption by a signal. Others can't come of valid
        // descriptors, and the reader would meet them.
        if poll(&mut polled, None).is_err() {
            return Waited::Signal;
        }
        match polled.iter().position(|fd| !fd.revents().is_empty()) {
            Some(place) if place > 0 => Waited::Ready(place - 1),
            _ => Waited::Signal,
        }
    }

    /// Runs the handlers of signals that have come; what they raise comes back.
    pub(crate) fn handle(&self, py: Python<'_>) -> PyResult<()> {
        let mut numbers = [0; 64];
        while (&self.woken).read(&mut numbers).is_ok_and(|count| count > 0) {}
        py.check_signals()
    }

    /// Gives `signal.set_wakeup_fd` back.
    pub(crate) fn release(self, py: Python<'_>) -> PyResult<()> {
        self.set_wakeup(py, -1)
    }

    fn set_wakeup(&self, py: Python<'_>, fd: i32) -> PyResult<()> {
        let quiet = PyDict::new(py);
        quiet.set_item("warn_on_full_buffer", false)?;
        py.import("signal")?.call_method("set_wakeup_fd", (fd,), Some(&quiet))?;
        Ok(())
    }
}
