//! Where gateway and worker meet.
//!
//! A worker has one piece of shared memory. In it each app thread has a ring of
//! slots, in which the gateway stages whole requests, and a ring of bytes, into
//! which the thread puts its answers: a head, body parts, error text and one
//! end. Beside it stands one socket a thread, which carries the descriptors of
//! what is too large for a slot, and tells by its end that the other side has
//! gone.
//!
//! Wake-ups are what a hop between processes costs. So each side says when it
//! sleeps, and is only woken then; the gateway collects its wake-ups to the end
//! of a batch.
//!
//! The gateway does not trust what a worker writes: every position, kind,
//! length and the order of replies are checked before use, and the first
//! violation makes the port [`ChannelError::Broken`].

mod activity;
mod beside;
mod body;
mod claimed;
pub mod cost;
mod error;
mod fingerprint;
mod frame;
mod futex;
mod layout;
mod memory;
pub mod observed;
pub mod packet;
pub mod probe;
mod request;
mod ring;
mod role;
pub mod scoreboard;
mod sleeper;
mod slot;
pub mod startup;
mod sync;
pub mod times;
pub mod waits;
pub mod worker;

#[cfg(feature = "gateway")]
mod bell;
#[cfg(feature = "gateway")]
mod buffer;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "gateway")]
pub mod ledger;
#[cfg(feature = "gateway")]
pub mod onlooker;
#[cfg(feature = "gateway")]
mod replies;

use std::io;
use std::os::fd::OwnedFd;

pub use activity::{Activity, Begun, Phase};
pub use error::ChannelError;
pub use frame::{LogLevel, Outcome};
pub use layout::MAX_THREADS;
pub use memory::{Shared, Window};
pub use role::Role;

/// The descriptors of one worker.
#[derive(Debug)]
pub struct Ends {
    /// For `gateway::open`: the memory, and one socket a thread.
    pub gateway: Vec<OwnedFd>,
    /// For [`worker::open`]: the memory, the bell, and one socket a thread.
    pub worker: Vec<OwnedFd>,
}

impl Ends {
    /// Puts the ends of a [`probe`] behind the others.
    ///
    /// # Errors
    /// What the operating system reports, usually that no descriptor is left.
    pub fn with_probe(mut self) -> io::Result<Self> {
        let (asks, asked) = probe::pair()?;
        self.gateway.extend(asks);
        self.worker.extend(asked);
        Ok(self)
    }

    /// Takes both ends of a worker with `threads` app threads and a probe off the end
    /// of descriptors that came together: the gateway's, then the worker's.
    ///
    /// # Errors
    /// `InvalidData` when there are too few.
    pub fn split_off(fds: &mut Vec<OwnedFd>, threads: usize) -> io::Result<Self> {
        let mut ends = |count: usize| {
            let at = fds.len().checked_sub(count).ok_or(io::ErrorKind::InvalidData)?;
            Ok::<_, io::Error>(fds.split_off(at))
        };
        let worker = ends(2 + threads + probe::DESCRIPTORS)?;
        Ok(Self { gateway: ends(1 + threads + probe::DESCRIPTORS)?, worker })
    }
}

/// Makes what connects the gateway with a worker of `threads` app threads.
/// `bell` is the gateway's eventfd, made by [`bell`].
///
/// # Errors
/// What the operating system reports, usually that no descriptor is left.
pub fn create(threads: usize, bell: &OwnedFd) -> io::Result<Ends> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let memory = memory::create("flupd-worker", layout::length(threads))?;
    let (mut gateway, mut worker) = (vec![memory.try_clone()?], vec![memory, bell.try_clone()?]);
    for _ in 0..threads {
        let (unix, stream) = (AddressFamily::UNIX, SocketType::STREAM);
        let (ours, theirs) = socketpair(unix, stream, SocketFlags::CLOEXEC, None)?;
        gateway.push(ours);
        worker.push(theirs);
    }
    Ok(Ends { gateway, worker })
}

/// The eventfd that wakes a sleeping gateway: one for all its workers. Each
/// write is news, so `gateway::Bell` watches it edge-triggered and never
/// reads it.
///
/// # Errors
/// What `eventfd(2)` reports.
pub fn bell() -> io::Result<OwnedFd> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

#[cfg(all(test, feature = "gateway"))]
mod tests;
