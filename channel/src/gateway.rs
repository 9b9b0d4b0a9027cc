//! The gateway's end of a port: asynchronous, one per app thread.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use bytes::{Buf, Bytes, BytesMut};
use cgi::Params;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;

use crate::frame::{BodyPlace, HEADER, Header, Kind, MAX_REPLY};
use crate::worker::encode_request;
use crate::{ChannelError, LogLevel, Outcome};

/// How much is read from the socket at once.
const READ: usize = 64 * 1024;

/// The body of a request, whole.
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Memory(Vec<u8>),
    /// In an unnamed file. Each worker that gets it reads from offset 0 by
    /// position, so a request that is given again needs no rewinding.
    File {
        /// The open file.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

impl Body {
    /// The body's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// What a worker answers, in order: at most one head, then body parts, then one
/// end; error text and log lines at any time before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The CGI response head, its blank line included.
    Head(Bytes),
    /// A part of the body.
    Body(Bytes),
    /// Text for the web server's error log, whole lines.
    Stderr(Bytes),
    /// A line for flupd's own log.
    Log(LogLevel, Bytes),
    /// The answer is finished; the port is free for the next request.
    End(Outcome),
}

/// The gateway's end of one app thread.
#[derive(Debug)]
pub struct Port {
    socket: UnixStream,
    input: BytesMut,
    state: State,
}

/// Idle → (request sent) → Asked → (head) → Answering → (end) → Idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asked,
    Answering,
}

impl Port {
    /// Takes over a socket that the supervisor passed. Needs a running tokio
    /// runtime.
    ///
    /// # Errors
    /// What the runtime reports when it can't watch the socket.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
            input: BytesMut::new(),
            state: State::Idle,
        })
    }

    /// Sends a request to an idle app thread.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the worker has gone.
    pub async fn send(&mut self, params: &Params, body: &Body) -> Result<(), ChannelError> {
        let mut frame = vec![0; HEADER];
        encode_request(&mut frame, params, body.length());
        let (place, inline, file) = match body {
            Body::Memory(bytes) => (BodyPlace::Inline, bytes.as_slice(), None),
            Body::File { file, .. } => (BodyPlace::File, &[][..], Some(file.as_fd())),
        };
        let length = frame.len() - HEADER;
        let header = Header { length, kind: Kind::Request, detail: place as u8 }.encode()?;
        frame[..HEADER].copy_from_slice(&header);
        self.write(&frame, inline, file).await?;
        self.state = State::Asked;
        Ok(())
    }

    /// Tells the worker that nobody waits for the answer any more. It still
    /// ends the answer.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the worker has gone.
    pub async fn cancel(&mut self) -> Result<(), ChannelError> {
        let header = Header { length: 0, kind: Kind::Cancel, detail: 0 }.encode()?;
        self.write(&header, &[], None).await
    }

    /// Waits for the next reply. May be dropped while it waits: nothing is lost.
    ///
    /// An idle port is watched the same way: it then only ever returns an error.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the worker has gone,
    /// [`ChannelError::Broken`] when it sent what the protocol does not allow.
    pub async fn receive(&mut self) -> Result<Reply, ChannelError> {
        loop {
            if let Some(reply) = self.decode()? {
                return Ok(reply);
            }
            self.input.reserve(READ);
            match self.socket.read_buf(&mut self.input).await {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ChannelError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next reply that has already arrived; `None` if there is none. What a
    /// worker said before it died is read with this.
    ///
    /// # Errors
    /// As [`Port::receive`].
    pub fn try_receive(&mut self) -> Result<Option<Reply>, ChannelError> {
        loop {
            if let Some(reply) = self.decode()? {
                return Ok(Some(reply));
            }
            self.input.reserve(READ);
            match self.socket.try_read_buf(&mut self.input) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Reply>, ChannelError> {
        let Some(header) = self.input.first_chunk::<HEADER>() else { return Ok(None) };
        let header = Header::decode(*header)?;
        if header.length > MAX_REPLY {
            return Err(ChannelError::Broken("a reply is longer than allowed"));
        }
        let next = self.state.after(header.kind)?;
        if self.input.len() < HEADER + header.length {
            return Ok(None);
        }
        self.input.advance(HEADER);
        let payload = self.input.split_to(header.length).freeze();
        self.state = next;
        Ok(Some(match header.kind {
            Kind::Head => Reply::Head(payload),
            Kind::Body => Reply::Body(payload),
            Kind::Stderr => Reply::Stderr(payload),
            Kind::Log => Reply::Log(
                LogLevel::from_byte(header.detail)
                    .ok_or(ChannelError::Broken("unknown log level"))?,
                payload,
            ),
            _ => Reply::End(
                Outcome::from_byte(header.detail).ok_or(ChannelError::Broken("unknown outcome"))?,
            ),
        }))
    }

    async fn write(
        &self,
        mut first: &[u8],
        mut second: &[u8],
        mut file: Option<BorrowedFd<'_>>,
    ) -> Result<(), ChannelError> {
        while !first.is_empty() || !second.is_empty() {
            let sent = self
                .socket
                .async_io(Interest::WRITABLE, || {
                    let parts = [IoSlice::new(first), IoSlice::new(second)];
                    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                    let mut ancillary = SendAncillaryBuffer::new(&mut space);
                    if let Some(fd) = &file {
                        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
                    }
                    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                    Ok(sendmsg(&self.socket, &parts, &mut ancillary, flags)?)
                })
                .await
                .map_err(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        ChannelError::Closed
                    }
                    _ => ChannelError::Io(error),
                })?;
            file = None;
            let of_first = sent.min(first.len());
            first = &first[of_first..];
            second = &second[sent - of_first..];
        }
        Ok(())
    }
}

impl State {
    /// The state after a reply of this kind, or the rule that it breaks.
    const fn after(self, kind: Kind) -> Result<Self, ChannelError> {
        match (self, kind) {
            (Self::Idle, _) => Err(ChannelError::Broken("a reply without a request")),
            (Self::Asked, Kind::Head) => Ok(Self::Answering),
            (Self::Answering, Kind::Head) => Err(ChannelError::Broken("a second head")),
            (Self::Answering, Kind::Body) => Ok(Self::Answering),
            (Self::Asked, Kind::Body) => Err(ChannelError::Broken("a body before its head")),
            (same, Kind::Stderr | Kind::Log) => Ok(same),
            (_, Kind::End) => Ok(Self::Idle),
            (_, Kind::Request | Kind::Cancel) => {
                Err(ChannelError::Broken("a request came from a worker"))
            }
        }
    }
}
