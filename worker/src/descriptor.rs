//! Descriptors that this process knows only by number.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use flupd_channel::startup::STATUS_FD;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// The socket to the supervisor, once. Children don't inherit it.
///
/// # Errors
/// `EBADF` when it isn't open: the library was not started by flupd.
pub(crate) fn status_socket() -> io::Result<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: used for one call only, which fails when nothing is open there.
    fcntl_setfd(unsafe { BorrowedFd::borrow_raw(STATUS_FD) }, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and its number is reserved for this purpose: nobody
    // else closes it, and the flag above keeps us from taking it twice.
    Ok(unsafe { OwnedFd::from_raw_fd(STATUS_FD) })
}

/// A duplicate of what a Python object's `fileno()` named.
///
/// # Errors
/// `EBADF` when nothing is open there.
pub fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: not -1, and used for one call only, which fails when nothing is
    // open there.
    Ok(fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(fd) }, 3)?)
}
