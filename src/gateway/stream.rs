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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const INPUT: u32 = 0x1;
    const ROOM: u32 = 0x4;

    /// What the kernel watches all descriptors of this process for, by descriptor.
    fn watched() -> Vec<(i32, u32)> {
        let mut found = Vec::new();
        for file in std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            for line in text.lines().filter(|line| line.starts_with("tfd:")) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let events = u32::from_str_radix(words[3], 16).unwrap();
                found.push((words[1].parse().unwrap(), events));
            }
        }
        found
    }

    fn is_watched_for(fd: i32, news: u32) -> bool {
        watched().iter().any(|&(watched, events)| watched == fd && events & news != 0)
    }

    /// A socket has room again each time that its peer has read an answer: the
    /// gateway would be woken once a request for nothing.
    #[tokio::test(flavor = "current_thread")]
    async fn room_is_only_watched_for_while_there_is_none() {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let stream = Stream::new(ours.into()).unwrap();
        let fd = stream.as_fd().as_raw_fd();
        assert!(is_watched_for(fd, INPUT) && !is_watched_for(fd, ROOM));

        while stream.try_write(&[7; 64 * 1024]).unwrap() > 0 {}
        let full = poll_fn(|context| Poll::Ready(stream.poll_writable(context).is_pending()));
        assert!(full.await);
        let other = stream.full.borrow().as_ref().unwrap().as_raw_fd();
        assert!(is_watched_for(other, ROOM) && !is_watched_for(fd, ROOM));

        peer.set_nonblocking(true).unwrap();
        while peer.read(&mut [0; 64 * 1024]).is_ok() {}
        poll_fn(|context| stream.poll_writable(context)).await.unwrap();
        assert!(stream.try_write(b"more").unwrap() > 0);
        stream.rest();
        assert!(stream.full.borrow().is_none() && is_watched_for(fd, INPUT));
    }
}
