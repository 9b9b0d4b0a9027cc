//! What supervisor and gateway say to each other, as JSON messages with
//! descriptors over a packet socket.
//!
//! The supervisor commands, the gateway reports. Neither carries a byte of a
//! request.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use flupd_channel::packet;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::GatewayConfig;

/// What the supervisor tells the gateway.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToGateway {
    /// The first message. The listening sockets travel with it, in the order of
    /// [`GatewayConfig::listeners`].
    Configure(GatewayConfig),
    /// A worker process runs. The gateway's ends of its ports travel with it,
    /// one per app thread. It takes no request before it is ready.
    WorkerStarted {
        /// Its number, unique in the life of the supervisor.
        worker: u64,
        /// Its process id.
        pid: u32,
    },
    /// The worker has imported the app.
    WorkerReady {
        /// Its number.
        worker: u64,
    },
    /// The worker process has ended.
    WorkerExited {
        /// Its number.
        worker: u64,
        /// How it ended, in words: `killed by signal 11 (SIGSEGV)`.
        cause: String,
        /// Whether it was told to go.
        expected: bool,
    },
    /// Give the worker no more requests; close its ports when its running ones
    /// are done.
    WorkerDrain {
        /// Its number.
        worker: u64,
    },
    /// Accept no more, finish what was begun, then exit.
    Stop,
}

/// What the gateway tells the supervisor.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGateway {
    /// It accepts connections.
    Listening,
    /// A worker broke the channel protocol: it must be ended.
    WorkerBroken {
        /// Its number.
        worker: u64,
        /// Which rule it broke.
        reason: String,
    },
}

/// How long one message may wait for room in the other side's socket.
const PATIENCE: Duration = Duration::from_secs(5);

/// One end of the control socket.
#[derive(Debug)]
pub struct Control {
    socket: AsyncFd<OwnedFd>,
}

impl Control {
    /// Takes over one end of a [`packet::pair`]. Needs a running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when the socket can't be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket: AsyncFd::new(socket)? })
    }

    /// Sends one message with its descriptors.
    ///
    /// # Errors
    /// `BrokenPipe` when the other side has gone, `TimedOut` when it does not
    /// read.
    pub async fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let write = self
            .socket
            .async_io(Interest::WRITABLE, |socket| packet::send(socket.as_fd(), &text, fds));
        tokio::time::timeout(PATIENCE, write).await?
    }

    /// Waits for the next message; `None` when the other side has gone. May be
    /// dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// `InvalidData` for a message that is not of type `M`; otherwise what the
    /// operating system reports.
    pub async fn receive<M: for<'de> Deserialize<'de>>(
        &self,
    ) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let read =
            self.socket.async_io(Interest::READABLE, |socket| packet::receive(socket.as_fd()));
        let Some((text, fds)) = read.await? else { return Ok(None) };
        Ok(Some((serde_json::from_slice(&text)?, fds)))
    }
}
