//! One blocking connection to a server, with a deadline for everything on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::config::address::Address;

/// A connection on which everything has to be done by one moment.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    deadline: Instant,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// `InvalidInput` for an address that nobody can connect to, `TimedOut` past
    /// the deadline, otherwise what the operating system reports.
    pub(super) fn open(address: &Address, deadline: Instant) -> io::Result<Self> {
        let stream = match address {
            Address::Unix(path) => Stream::Unix(unix(path, deadline)?),
            Address::Tcp { host, port } => Stream::Tcp(tcp(host, *port, deadline)?),
            Address::Fd(_) | Address::Systemd => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Self { stream, deadline })
    }

    /// Another handle of the same connection, for the thread that writes.
    ///
    /// # Errors
    /// What the operating system reports, usually that no descriptor is left.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let stream = match &self.stream {
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone()?),
        };
        Ok(Self { stream, deadline: self.deadline })
    }

    /// Ends both directions, also for a thread that waits in one.
    pub(super) fn shutdown(&self) {
        // The peer may have done so before.
        let _ = match &self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    fn limit(&self, which: Timeout) -> io::Result<()> {
        let fd: BorrowedFd<'_> = match &self.stream {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        };
        Ok(set_socket_timeout(fd, which, Some(left(self.deadline)?))?)
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.limit(Timeout::Recv)?;
        timed(match &mut self.stream {
            Stream::Unix(stream) => stream.read(into),
            Stream::Tcp(stream) => stream.read(into),
        })
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.limit(Timeout::Send)?;
        timed(match &mut self.stream {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time that is left, more than none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // The kernel counts in microseconds, and takes 0 for "for ever".
    match left >= Duration::from_micros(1) {
        true => Ok(left),
        false => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A socket's own time limit shows as `WouldBlock`.
fn timed<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

fn unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let kind = SocketType::STREAM;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    // A full backlog makes connect(2) wait; this limit holds for that as well.
    set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
    timed(connect(&socket, &SocketAddrUnix::new(path)?).map_err(Into::into))?;
    Ok(socket.into())
}

fn tcp(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
