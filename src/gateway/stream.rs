//! A connected socket of either family, read and written without waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::BytesMut;
use rustix::net::Shutdown;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a web server.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The same call on whichever socket this is.
macro_rules! each {
    ($self:expr, $socket:ident => $call:expr) => {
        match $self {
            Stream::Unix($socket) => $call,
            Stream::Tcp($socket) => $call,
        }
    };
}

impl Stream {
    /// Reads what has arrived; `None` if nothing has, `Some(0)` at the end.
    pub(super) fn try_read(&self, into: &mut BytesMut) -> io::Result<Option<usize>> {
        would_block(each!(self, s => s.try_read_buf(into)))
    }

    /// Writes what fits; `None` if nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        would_block(each!(self, s => s.try_write(bytes)))
    }

    /// Waits until one of the interests can be served.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        each!(self, s => s.ready(interest).await)
    }

    /// Waits until the peer has closed its socket wholly, as opposed to only
    /// its sending half.
    ///
    /// On a unix socket the kernel says so by `EPOLLHUP`. On TCP the two look
    /// the same until an answer is refused, so there this waits for a reset.
    pub(super) async fn hung_up(&self) -> io::Result<()> {
        while !self.ready(Interest::WRITABLE).await?.is_write_closed() {
            // Writable says nothing: forget it, so that only news wakes us.
            let forget = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = each!(self, s => s.try_io(Interest::WRITABLE, forget));
        }
        Ok(())
    }

    /// Says that no more will be written.
    pub(super) fn shutdown(&self) {
        // A peer that has gone already needs no farewell.
        let _ = rustix::net::shutdown(self.as_fd(), Shutdown::Write);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, s => s.as_fd())
    }
}

fn would_block(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
