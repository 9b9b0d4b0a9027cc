//! The gateway that takes over from this one when flupd itself is replaced. It
//! gets the connections as they are: none is closed, so a web server that is about
//! to send its next request on one loses nothing.
//!
//! A connection is passed on when no request is open on it and nothing of one has
//! been read. What the web server sends in that moment waits in the kernel, and
//! the heir reads it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::debug;

use super::entry::Entry;
use super::linger::linger;
use super::shared::Shared;
use super::stream::Stream;
use crate::config::Protocol;
use crate::control::PacketSocket;

/// A connection that always has a request open is never without one by itself. So
/// nothing more is read from it for a moment, again and again: if the open
/// requests end in one of these, it can be passed on. The first is so long, and each one
/// twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);

/// None is longer: what waits meanwhile may be short.
const LONGEST: Duration = Duration::from_millis(3200);

/// How long the connection goes on between two of them at least.
const BETWEEN: Duration = Duration::from_millis(900);

/// The way to the gateway that comes next.
#[derive(Debug)]
pub(super) struct Heir {
    socket: PacketSocket,
    since: Instant,
}

/// What is said with each connection: the listener that has accepted it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passed {
    pub(super) protocol: Protocol,
    pub(super) address: String,
}

impl Heir {
    /// At the other end of this packet socket.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::new(socket)?, since: Instant::now() })
    }

    /// Passes on a connection of this listener. To be closed here after that.
    ///
    /// # Errors
    /// When nobody is there any more to take it.
    async fn take(&self, stream: &Stream, entry: &Entry) -> io::Result<()> {
        let passed = Passed { protocol: entry.protocol, address: entry.address.clone() };
        let text = serde_json::to_vec(&passed)?;
        self.socket.send(&text, &[stream.as_fd()]).await
    }

    /// Until when connections read no further request, if this is such a moment.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        let (mut begin, mut length) = (self.since, PAUSE);
        loop {
            let end = begin + length;
            if now < end {
                return (now >= begin).then_some(end);
            }
            begin = end + length.max(BETWEEN);
            length = (length * 2).min(LONGEST);
        }
    }
}

/// Has the heir go on with a connection of this listener. If there is none any
/// more, it is closed.
pub(super) async fn pass_on(stream: &Stream, entry: &Entry, shared: &Shared) {
    let Some(heir) = shared.stopping.heir.get() else { return };
    if let Err(error) = heir.take(stream, entry).await {
        debug!(%error, "connection can't be passed on");
        linger(stream).await;
    }
}

/// What a gateway before this one passes on.
pub(super) struct Heritage {
    socket: PacketSocket,
}

impl Heritage {
    /// At this end of a packet socket.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::new(socket)? })
    }

    /// The next connection, and whose it was; `None` when there will be no more.
    pub(super) async fn next(&self) -> Option<(Passed, OwnedFd)> {
        loop {
            let (text, fds) = self.socket.receive().await.ok()??;
            // Another version may say something else besides.
            let Ok(passed) = serde_json::from_slice(&text) else { continue };
            if let Some(fd) = fds.into_iter().next() {
                return Some((passed, fd));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use flupd_channel::packet;

    use super::*;

    #[tokio::test]
    async fn pauses_become_longer_and_then_stay_so() {
        let (ours, _theirs) = packet::pair().unwrap();
        let heir = Heir::new(ours).unwrap();
        let after = |millis: u64| heir.since + Duration::from_millis(millis);
        for (begin, end) in [
            (0, 100),
            (1000, 1200),
            (2100, 2500),
            (8300, 11_500),
            (14_700, 17_900),
            (21_100, 24_300),
        ] {
            assert_eq!(heir.pause(after(begin)), Some(after(end)));
            assert_eq!(heir.pause(after(end - 1)), Some(after(end)));
            assert_eq!(heir.pause(after(end)), None);
            assert_eq!(heir.pause(after(begin.saturating_sub(1))).is_some(), begin == 0);
        }
    }

    #[tokio::test]
    async fn a_connection_arrives_with_what_waits_in_it() {
        let (ours, theirs) = packet::pair().unwrap();
        let heritage = Heritage::new(theirs).unwrap();
        let (stream, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"early").unwrap();
        let passed = Passed { protocol: Protocol::Fastcgi, address: "unix:/a".into() };
        packet::send(&ours, b"something newer", &[]).unwrap();
        packet::send(&ours, &serde_json::to_vec(&passed).unwrap(), &[stream.as_fd()]).unwrap();
        drop((stream, ours));
        let (said, fd) = heritage.next().await.unwrap();
        assert_eq!(said, passed);
        let mut text = [0; 5];
        UnixStream::from(fd).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"early");
        assert!(heritage.next().await.is_none());
    }
}
