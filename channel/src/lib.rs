//! Where gateway and worker meet.
//!
//! The gateway owns one [`gateway::Port`] per app thread, the worker's app
//! thread the [`worker::Port`] at its other end. One request travels at a time:
//! the gateway sends it whole (params and body), the worker answers with a
//! head, body chunks, error text and one end.
//!
//! Today a port is one end of a stream socket pair, and a spooled body travels
//! as a descriptor. Nothing outside this crate depends on that.
//!
//! The gateway does not trust what a worker sends: every kind, length and the
//! order of replies are checked before use, and the first violation makes the
//! port [`ChannelError::Broken`].

mod error;
mod frame;
pub mod packet;
pub mod startup;
pub mod worker;

#[cfg(feature = "gateway")]
pub mod gateway;

pub use error::ChannelError;
pub use frame::{LogLevel, Outcome};

/// A connected pair: the gateway's end and the worker's end of one app thread.
///
/// # Errors
/// What `socketpair(2)` reports, usually that no descriptor is left.
pub fn pair() -> std::io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

#[cfg(all(test, feature = "gateway"))]
mod tests;
