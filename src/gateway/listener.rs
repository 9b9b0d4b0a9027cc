//! Accepts connections from one listening socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tracing::error;

use super::admission::Admission;
use super::door;
use super::entry::Entry;
use super::shared::Shared;
use super::stream::Stream;
use super::watch::watch;

/// How long to wait after a failed accept: it mostly means that descriptors or
/// memory are short, which no haste mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a process that serves one request at a time leaves the queue to others that share its socket,
/// once it is told to stop. Then it takes what is still there: it may be the last one.
const SHARING: Duration = Duration::from_secs(1);

/// No more than so many are taken out of the queue at a stop: the most that Linux
/// lets wait there, unless it is told otherwise (net.core.somaxconn).
const QUEUE: usize = 4096;

/// A connection, and its peer's address over TCP; `None` if it is refused.
type Accepted = Option<(Stream, Option<SocketAddr>)>;

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

    /// The next connection.
    async fn accept(&self, entry: &Entry) -> io::Result<Accepted> {
        let (socket, peer) = self.socket.async_io(Interest::READABLE, accept).await?;
        self.receive(socket, peer, entry)
    }

    /// The next connection that waits in the kernel; `WouldBlock` if there is none.
    fn accept_now(&self, entry: &Entry) -> io::Result<Accepted> {
        let (socket, peer) = accept(self.socket.get_ref())?;
        self.receive(socket, peer, entry)
    }

    fn receive(
        &self,
        socket: OwnedFd,
        peer: Option<SocketAddrAny>,
        entry: &Entry,
    ) -> io::Result<Accepted> {
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

fn accept(socket: &OwnedFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
}

/// Whether the failure is that of one connection, which has gone meanwhile.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

/// Accepts from one listening socket.
pub(super) struct Acceptor {
    pub(super) listener: Listener,
    pub(super) entry: Rc<Entry>,
    pub(super) shared: Rc<Shared>,
    pub(super) admission: Rc<Admission>,
}

impl Acceptor {
    /// Accepts until flupd stops or the listener is closed; then takes what the kernel
    /// has already accepted, so that nobody who was let in is turned away.
    pub(super) async fn run(self, closed: Rc<Notify>) {
        let mut closed = pin!(closed.notified());
        let mut stopping = pin!(self.shared.stopping.wait());
        loop {
            self.admission.room().await;
            let accepted = tokio::select! {
                biased;
                () = &mut stopping => break,
                () = &mut closed => break,
                accepted = self.listener.accept(&self.entry) => accepted,
            };
            self.admit(accepted).await;
            if self.entry.alone {
                self.admission.empty_soon().await;
            }
        }
        // Who waits in the kernel is the heir's.
        if self.shared.stopping.heir.get().is_none() {
            self.empty_queue().await;
        }
    }

    /// Takes what waits in the kernel. Under steady load new ones come all the time:
    /// it does not wait for a moment when there are none.
    async fn empty_queue(&self) {
        let begun = Instant::now();
        for _ in 0..QUEUE {
            self.admission.room().await;
            let accepted = self.listener.accept_now(&self.entry);
            if accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
            self.admit(accepted).await;
            if self.entry.alone && begun.elapsed() < SHARING {
                self.admission.empty_soon().await;
            }
        }
    }

    async fn admit(&self, accepted: io::Result<Accepted>) {
        match accepted {
            Ok(None) => self.admission.refused(),
            Ok(Some((stream, peer))) => {
                let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
                self.admission.admit(stream, &self.entry, &peer, &self.shared);
            }
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                error!(address = self.entry.address, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
