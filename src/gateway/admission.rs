//! How many connections may be open, and which are.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use super::connection::Connection;
use super::entry::Entry;
use super::shared::Shared;
use super::stream::Stream;
use crate::observe::metrics::Metrics;

/// How long a connection is left alone by a process that serves one request at a
/// time. What waits in the kernel meanwhile, an idle process may take.
const PATIENCE: Duration = Duration::from_millis(20);

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
    pub(super) async fn empty_soon(&self) {
        let empty = async {
            while self.open() > 0 {
                self.emptied.notified().await;
            }
        };
        // Then others may come in beside it: a slow upload, an idle connection.
        let _ = tokio::time::timeout(PATIENCE, empty).await;
    }

    /// Waits until one more may be open.
    pub(super) async fn room(&self) {
        if self.open.get() < self.limit {
            return;
        }
        warn!(connections = self.limit, "connection limit reached: new ones wait");
        while self.open.get() >= self.limit {
            self.changed.notified().await;
        }
    }

    /// One was not let in.
    pub(super) fn refused(&self) {
        self.metrics.turned_away.add(1);
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

    fn run(self: &Rc<Self>, mut connection: Connection) {
        let admitted = self.enter();
        tokio::task::spawn_local(async move {
            connection.run().await;
            drop(connection);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'c, F: Future>(_: impl FnOnce(&'c mut Connection) -> F) -> usize {
        size_of::<F>()
    }

    /// Each `async fn` on the way keeps room for all that it ever holds across a wait,
    /// and an idle connection holds all of that.
    #[test]
    fn a_connection_has_no_room_for_what_it_seldom_does() {
        let all = size_of::<Connection>() + size(Connection::run);
        assert!(all <= 1024, "{all} bytes");
    }
}
