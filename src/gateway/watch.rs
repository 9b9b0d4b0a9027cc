//! Has the runtime watch a descriptor for one kind of news only.
//!
//! tokio's own sockets are watched for both kinds. But a socket says "writable"
//! each time that its peer has read an answer, and would wake the gateway for
//! nothing once a request.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor of which nothing may be waited for. Needs a running
/// tokio runtime.
///
/// # Errors
/// What the operating system reports when it can't be watched.
pub(super) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: An `OwnedFd` always answers with the same open descriptor, and the
    // `AsyncFd` owns it until it is deregistered.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(io::Error::from)
}
