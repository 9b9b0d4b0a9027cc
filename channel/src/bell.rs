//! The bell that a worker rings when the gateway sleeps.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The gateway's end of the bell: as long as it lives, a ring ends the sleep of
/// the runtime it was made in. Nobody has to wait for it.
#[derive(Debug)]
pub struct Bell {
    _watched: AsyncFd<OwnedFd>,
}

impl Bell {
    /// Watches the eventfd made by [`crate::bell`]. Needs a running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub fn new(bell: OwnedFd) -> io::Result<Self> {
        // SAFETY: An `OwnedFd` always answers with the same open descriptor, and
        // the `AsyncFd` owns it until it is deregistered.
        let watched = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) };
        Ok(Self { _watched: watched.map_err(io::Error::from)? })
    }
}
