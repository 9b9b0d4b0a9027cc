//! Accepts connections from one listening socket.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::AddressFamily;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tracing::{error, warn};

use super::connection::Connection;
use super::shared::Shared;
use super::stream::Stream;
use crate::config::ListenerConfig;

/// How long to wait after a failed accept: it mostly means that descriptors or
/// memory are short, which no haste mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket of either family.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Takes over a listening socket that the supervisor passed.
    ///
    /// # Errors
    /// `Unsupported` for a socket of another family; otherwise what the
    /// operating system reports.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let family = rustix::net::getsockname(&socket)?.address_family();
        match family {
            AddressFamily::UNIX => {
                Ok(Self::Unix(UnixListener::from_std(StdUnixListener::from(socket))?))
            }
            AddressFamily::INET | AddressFamily::INET6 => {
                Ok(Self::Tcp(TcpListener::from_std(std::net::TcpListener::from(socket))?))
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "neither a unix nor a TCP socket")),
        }
    }

    async fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), "unix".to_owned()))
            }
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole: waiting to fill a segment only delays.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.to_string()))
            }
        }
    }
}

/// Counts connections, so that descriptors never run out.
#[derive(Debug)]
pub(super) struct Admission {
    open: Cell<usize>,
    limit: usize,
    changed: Notify,
    pub(super) emptied: Notify,
}

impl Admission {
    /// At most `limit` connections at once.
    pub(super) fn new(limit: usize) -> Rc<Self> {
        let (changed, emptied) = (Notify::new(), Notify::new());
        Rc::new(Self { open: Cell::new(0), limit, changed, emptied })
    }

    /// How many connections are open.
    pub(super) const fn open(&self) -> usize {
        self.open.get()
    }

    async fn room(&self) {
        if self.open.get() < self.limit {
            return;
        }
        warn!(connections = self.limit, "connection limit reached: new ones wait");
        while self.open.get() >= self.limit {
            self.changed.notified().await;
        }
    }

    fn enter(self: &Rc<Self>) -> Admitted {
        self.open.set(self.open.get() + 1);
        Admitted(Rc::clone(self))
    }
}

/// One connection's place; given back when dropped.
struct Admitted(Rc<Admission>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.changed.notify_waiters();
        if self.0.open.get() == 0 {
            self.0.emptied.notify_one();
        }
    }
}

/// Accepts until flupd stops; then takes what the kernel has already accepted,
/// so that nobody who was let in is turned away.
pub(super) async fn run(
    listener: Listener,
    config: ListenerConfig,
    shared: Rc<Shared>,
    admission: Rc<Admission>,
) {
    loop {
        admission.room().await;
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = shared.stopping.wait() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let shared = Rc::clone(&shared);
                let admitted = admission.enter();
                let peer = format!("{peer} on {}", config.address);
                let connection = Connection::new(stream, config.protocol, peer, shared);
                tokio::task::spawn_local(async move {
                    connection.run().await;
                    drop(admitted);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                error!(address = config.address, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
