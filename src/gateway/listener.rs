//! Accepts connections from one listening socket.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{AddressFamily, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tracing::{error, warn};

use super::connection::Connection;
use super::door;
use super::entry::Entry;
use super::shared::Shared;
use super::stream::Stream;
use super::watch::watch;
use crate::observe::metrics::Metrics;

/// How long to wait after a failed accept: it mostly means that descriptors or
/// memory are short, which no haste mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection is left alone by a process that serves one request at a
/// time. What waits in the kernel meanwhile, an idle process may take.
const PATIENCE: Duration = Duration::from_millis(20);

/// A listening socket of either family.
#[derive(Debug)]
pub(super) struct Listener {
    socket: AsyncFd<OwnedFd>,
    is_unix: bool,
}

impl Listener {
    /// Takes over a listening socket that the supervisor passed.
    ///
    /// # Errors
    /// `Unsupported` for a socket of another family; otherwise what the
    /// operating system reports.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let is_unix = match rustix::net::getsockname(&socket)?.address_family() {
            AddressFamily::UNIX => true,
            AddressFamily::INET | AddressFamily::INET6 => false,
            _ => {
                let why = "neither a unix nor a TCP socket";
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        };
        Ok(Self { socket: watch(socket, Interest::READABLE)?, is_unix })
    }

    /// The next connection, and its peer's address over TCP; `None` if that is
    /// refused.
    async fn accept(&self, entry: &Entry) -> io::Result<Option<(Stream, Option<SocketAddr>)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accept = |socket: &OwnedFd| Ok(acceptfrom_with(socket, flags)?);
        let (socket, peer) = self.socket.async_io(Interest::READABLE, accept).await?;
        if self.is_unix {
            let admitted =
                entry.admit.borrow().unix(&socket, &entry.address) && door::lets_in(None);
            return admitted.then(|| Ok((Stream::new(socket)?, None))).transpose();
        }
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let ip = peer.map(|peer| peer.ip());
        if !entry.admit.borrow().tcp(ip, &entry.address) || !door::lets_in(peer) {
            return Ok(None);
        }
        // Answers are written whole: waiting to fill a segment only delays.
        set_tcp_nodelay(&socket, true)?;
        Ok(Some((Stream::new(socket)?, peer)))
    }
}

/// Whether the failure is that of one connection, which has gone meanwhile.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

/// Counts connections, so that descriptors never run out.
#[derive(Debug)]
pub(super) struct Admission {
    open: Cell<usize>,
    limit: usize,
    changed: Notify,
    pub(super) emptied: Notify,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// At most `limit` connections at once.
    pub(super) fn new(limit: usize, metrics: Arc<Metrics>) -> Rc<Self> {
        let (changed, emptied) = (Notify::new(), Notify::new());
        Rc::new(Self { open: Cell::new(0), limit, changed, emptied, metrics })
    }

    /// How many connections are open.
    pub(super) const fn open(&self) -> usize {
        self.open.get()
    }

    /// Waits until no connection is open, or that takes longer than a request does
    /// that needs no waiting.
    async fn empty_soon(&self) {
        let empty = async {
            while self.open() > 0 {
                self.emptied.notified().await;
            }
        };
        // Then others may come in beside it: a slow upload, an idle connection.
        let _ = tokio::time::timeout(PATIENCE, empty).await;
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

    /// Serves a connection, and counts it until it ends.
    pub(super) fn admit(
        self: &Rc<Self>,
        stream: Stream,
        entry: &Rc<Entry>,
        peer: &str,
        shared: &Rc<Shared>,
    ) {
        let peer = format!("{peer} on {}", entry.address);
        self.run(Connection::new(stream, Rc::clone(entry), peer, Rc::clone(shared)));
    }

    /// Goes on with a connection that another gateway has served until now.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn inherit(
        self: &Rc<Self>,
        socket: OwnedFd,
        entry: &Rc<Entry>,
        shared: &Rc<Shared>,
    ) -> io::Result<()> {
        let peer = rustix::net::getpeername(&socket).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
        let (stream, peer) = (Stream::new(socket)?, format!("{peer} on {}", entry.address));
        let connection = Connection::new(stream, Rc::clone(entry), peer, Rc::clone(shared));
        self.run(connection.inherited());
        Ok(())
    }

    fn run(self: &Rc<Self>, connection: Connection) {
        let admitted = self.enter();
        tokio::task::spawn_local(async move {
            connection.run().await;
            drop(admitted);
        });
    }

    fn enter(self: &Rc<Self>) -> Admitted {
        self.open.set(self.open.get() + 1);
        self.metrics.opened();
        Admitted(Rc::clone(self))
    }
}

/// One connection's place; given back when dropped.
struct Admitted(Rc<Admission>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.metrics.closed();
        self.0.changed.notify_waiters();
        if self.0.open.get() == 0 {
            self.0.emptied.notify_one();
        }
    }
}

/// Accepts until flupd stops or the listener is closed; then takes what the kernel has already accepted,
/// so that nobody who was let in is turned away.
pub(super) async fn run(
    listener: Listener,
    entry: Rc<Entry>,
    shared: Rc<Shared>,
    admission: Rc<Admission>,
    closed: Rc<Notify>,
) {
    loop {
        admission.room().await;
        // Who waits in the kernel is the heir's.
        if shared.stopping.is_set() && shared.stopping.heir.get().is_some() {
            return;
        }
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept(&entry) => accepted,
            () = shared.stopping.wait() => return,
            () = closed.notified() => return,
        };
        match accepted {
            Ok(None) => admission.metrics.turned_away.add(1),
            Ok(Some((stream, peer))) => {
                let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
                admission.admit(stream, &entry, &peer, &shared);
                if entry.alone {
                    admission.empty_soon().await;
                }
            }
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                error!(address = entry.address, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
