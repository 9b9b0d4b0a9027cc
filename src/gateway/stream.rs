//! A connected socket of either family, read and written without waiting.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::buffer::spare_capacity as spare;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, send, sendmsg};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::watch::watch;

/// A connection to a web server.
#[derive(Debug)]
pub(super) struct Stream {
    /// Watched for input.
    socket: AsyncFd<OwnedFd>,
    /// The same, watched for room: only while there is none.
    full: RefCell<Option<AsyncFd<OwnedFd>>>,
}

impl Stream {
    /// A connection just accepted. Needs a running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = watch(socket, Interest::READABLE)?;
        Ok(Self { socket, full: RefCell::default() })
    }

    /// Reads what has arrived into the spare capacity; `None` if nothing has,
    /// `Some(0)` at the end.
    ///
    /// The socket is asked at once, whatever the runtime knows of it: a new
    /// connection mostly has its request with it.
    pub(super) fn try_read(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let room = into.capacity() - into.len();
        let got = match rustix::net::recv(self, spare(into), RecvFlags::DONTWAIT) {
            Ok((_, got)) => got,
            Err(Errno::AGAIN | Errno::INTR) => {
                self.forget(Interest::READABLE);
                return Ok(None);
            }
            Err(errno) => return Err(errno.into()),
        };
        if got < room {
            // It is empty now: asking again would only say so.
            self.forget(Interest::READABLE);
        }
        Ok(Some(got))
    }

    /// Writes what fits of these slices; 0 if nothing does.
    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.sent(sendmsg(self, slices, &mut SendAncillaryBuffer::default(), flags))
    }

    /// Writes what fits of these bytes; 0 if nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.sent(send(self, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
    }

    fn sent(&self, sent: Result<usize, Errno>) -> io::Result<usize> {
        match sent {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => {
                self.forget(Interest::WRITABLE);
                Ok(0)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Has the runtime wait for news of the socket before it calls it ready.
    fn forget(&self, interest: Interest) {
        let none = |_: &OwnedFd| Err::<(), _>(io::ErrorKind::WouldBlock.into());
        if interest.is_readable() {
            let _ = self.socket.try_io(interest, none);
        } else if let Some(full) = &*self.full.borrow() {
            let _ = full.try_io(interest, none);
        }
    }

    /// Nothing waits to be written any more: room is no news from now on.
    pub(super) fn rest(&self) {
        drop(self.full.take());
    }

    /// Waits until something may have arrived, or the end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await.map(drop)
    }

    /// Whether the peer has closed its socket wholly, as opposed to only its
    /// sending half.
    ///
    /// On a unix socket the kernel says so by `POLLHUP`. On TCP the two look
    /// the same until an answer is refused, so there only a reset says so.
    pub(super) fn is_hung_up(&self) -> bool {
        let mut socket = [PollFd::new(self, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let polled = poll(&mut socket, Some(&now));
        polled.is_ok_and(|count| count > 0)
            && socket.iter().any(|s| s.revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    /// Waits, with the whole thread, until something fits.
    ///
    /// # Errors
    /// `TimedOut` after `patience`; otherwise what `poll(2)` reports.
    pub(super) fn wait_writable(&self, patience: Duration) -> io::Result<()> {
        let mut socket = [PollFd::new(self, PollFlags::OUT)];
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut socket, Some(&patience)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether something may have arrived, or the end; else the task is woken.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(context).map_ok(drop)
    }

    /// Whether something may fit; else the task is woken.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut full = self.full.borrow_mut();
        let watched = match &mut *full {
            Some(watched) => watched,
            none => none.insert(watch(self.as_fd().try_clone_to_owned()?, Interest::WRITABLE)?),
        };
        watched.poll_write_ready(context).map_ok(drop)
    }

    /// Whether [`Stream::is_hung_up`]; else the task is woken when it is.
    pub(super) fn poll_hung_up(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.poll_writable(context)?.is_ready() {
            if self.is_hung_up() {
                return Poll::Ready(Ok(()));
            }
            // Writable says nothing: only news shall wake us.
            self.forget(Interest::WRITABLE);
        }
        Poll::Pending
    }

    /// Says that no more will be written.
    pub(super) fn shutdown(&self) {
        // A peer that has gone already needs no farewell.
        let _ = rustix::net::shutdown(self.as_fd(), Shutdown::Write);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}
