//! The worker's end of a port: blocking, one per app thread.
//!
//! Every call here may wait for the gateway, so it is made without the
//! interpreter attached.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cgi::Params;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recvmsg, sendmsg,
    shutdown,
};

use crate::frame::{BodyPlace, HEADER, Header, Kind, MAX_REPLY};
use crate::packet::take_fds;
use crate::{ChannelError, LogLevel, Outcome};

/// How much is read from the socket at once.
const READ: usize = 64 * 1024;

/// Replies are collected up to this many bytes before they are sent unasked.
const COLLECT: usize = 64 * 1024;

/// Chunks of at least this size are sent from where they are, not collected.
const LARGE: usize = 16 * 1024;

/// One assembled request.
#[derive(Debug)]
pub struct Request {
    /// The environ's byte strings, already normalised.
    pub params: Params,
    /// The whole request body.
    pub body: Body,
}

/// A request body, complete before the worker sees it.
#[derive(Debug)]
pub enum Body {
    /// In memory; often empty.
    Memory(Vec<u8>),
    /// In an unnamed file, from offset 0.
    File {
        /// The open file, private to this request.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

/// An app thread's port to the gateway.
#[derive(Debug)]
pub struct Port {
    socket: OwnedFd,
    input: Vec<u8>,
    /// How far `input` has been used.
    at: usize,
    fds: VecDeque<OwnedFd>,
    out: Vec<u8>,
    cancelled: bool,
}

impl Port {
    /// Takes over the socket that the supervisor passed.
    #[must_use]
    pub const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            input: Vec::new(),
            at: 0,
            fds: VecDeque::new(),
            out: Vec::new(),
            cancelled: false,
        }
    }

    /// Waits for the next request; `None` when the gateway wants no more of
    /// this thread.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway broke off in mid-request.
    pub fn receive(&mut self) -> Result<Option<Request>, ChannelError> {
        self.cancelled = false;
        loop {
            if !self.fill(HEADER, RecvFlags::empty())? {
                return if self.pending().is_empty() {
                    Ok(None)
                } else {
                    Err(ChannelError::Closed)
                };
            }
            let header = self.take_header()?;
            match header.kind {
                // It crossed the end of the request it was meant for.
                Kind::Cancel => {}
                Kind::Request => return self.request(header).map(Some),
                _ => return Err(ChannelError::Broken("a reply came from the gateway")),
            }
        }
    }

    fn request(&mut self, header: Header) -> Result<Request, ChannelError> {
        let place = BodyPlace::from_byte(header.detail)
            .ok_or(ChannelError::Broken("unknown place of a body"))?;
        self.need(header.length)?;
        let payload = self.take(header.length);
        let (params, length) = decode_request(payload)?;
        let body = match place {
            BodyPlace::File => {
                let fd = self.fds.pop_front().ok_or(ChannelError::Broken("a file is missing"))?;
                Body::File { file: File::from(fd), length }
            }
            BodyPlace::Inline => {
                let length = usize::try_from(length)
                    .map_err(|_| ChannelError::Broken("a body exceeds memory"))?;
                self.need(length)?;
                Body::Memory(self.take(length))
            }
        };
        Ok(Request { params, body })
    }

    /// Whether the client has gone, so that nobody needs the rest. Does not wait.
    pub fn cancelled(&mut self) -> bool {
        while !self.cancelled {
            if self.pending().len() < HEADER {
                match self.fill(HEADER, RecvFlags::DONTWAIT) {
                    Ok(true) => {}
                    Err(ChannelError::Io(error))
                        if error.kind() == std::io::ErrorKind::WouldBlock =>
                    {
                        break;
                    }
                    // The gateway has gone: nobody waits any more.
                    Ok(false) | Err(_) => self.cancelled = true,
                }
            } else {
                // In mid-request the gateway says nothing else.
                let header = self.take_header();
                self.cancelled = !matches!(header, Ok(Header { kind: Kind::Request, .. }));
            }
        }
        self.cancelled
    }

    /// Queues the CGI response head, its blank line included.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn head(&mut self, head: &[u8]) -> Result<(), ChannelError> {
        self.reply(Kind::Head, 0, head)
    }

    /// Queues a part of the body; a large one is sent at once, from where it is.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn body(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        for part in bytes.chunks(MAX_REPLY) {
            self.reply(Kind::Body, 0, part)?;
        }
        Ok(())
    }

    /// Queues text for the web server's error log. Whole lines.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn stderr(&mut self, text: &[u8]) -> Result<(), ChannelError> {
        for part in text.chunks(MAX_REPLY) {
            self.reply(Kind::Stderr, 0, part)?;
        }
        Ok(())
    }

    /// Queues a line for flupd's log; a text over 256 KiB is cut.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn log(&mut self, level: LogLevel, text: &str) -> Result<(), ChannelError> {
        let cut = text.floor_char_boundary(MAX_REPLY);
        self.reply(Kind::Log, level as u8, &text.as_bytes()[..cut])
    }

    /// Ends the answer and sends all that is queued.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn end(&mut self, outcome: Outcome) -> Result<(), ChannelError> {
        self.reply(Kind::End, outcome as u8, &[])?;
        self.flush()
    }

    /// Sends all that is queued.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway has gone.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        let out = std::mem::take(&mut self.out);
        let sent = self.write(&out, &[]);
        self.out = out;
        self.out.clear();
        sent
    }

    /// A handle with which another thread can stop this port.
    ///
    /// # Errors
    /// What `dup(2)` reports, usually that no descriptor is left.
    pub fn stopper(&self) -> std::io::Result<Stopper> {
        Ok(Stopper { socket: self.socket.try_clone()? })
    }

    /// Closes the connection at once, also when a [`Stopper`] still exists. What
    /// is queued is lost.
    pub fn close(self) {
        // It only fails when the gateway has gone, which is as good.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    fn reply(&mut self, kind: Kind, detail: u8, payload: &[u8]) -> Result<(), ChannelError> {
        let header = Header { length: payload.len(), kind, detail }.encode()?;
        self.out.extend_from_slice(&header);
        if payload.len() < LARGE {
            self.out.extend_from_slice(payload);
            if self.out.len() < COLLECT { Ok(()) } else { self.flush() }
        } else {
            let out = std::mem::take(&mut self.out);
            let sent = self.write(&out, payload);
            self.out = out;
            self.out.clear();
            sent
        }
    }

    fn write(&self, mut first: &[u8], mut second: &[u8]) -> Result<(), ChannelError> {
        while !first.is_empty() || !second.is_empty() {
            let parts = [IoSlice::new(first), IoSlice::new(second)];
            let mut none = SendAncillaryBuffer::default();
            let sent = match sendmsg(&self.socket, &parts, &mut none, SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    return Err(ChannelError::Closed);
                }
                Err(errno) => return Err(errno.into()),
            };
            let of_first = sent.min(first.len());
            first = &first[of_first..];
            second = &second[sent - of_first..];
        }
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// Like [`Port::fill`], where the end of input is an error.
    fn need(&mut self, count: usize) -> Result<(), ChannelError> {
        if self.fill(count, RecvFlags::empty())? { Ok(()) } else { Err(ChannelError::Closed) }
    }

    /// Reads until `count` bytes are pending; `false` at the end of input.
    fn fill(&mut self, count: usize, flags: RecvFlags) -> Result<bool, ChannelError> {
        if self.at > 0 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        while self.input.len() < count {
            let have = self.input.len();
            self.input.resize(have + READ.max(count - have), 0);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(
                self.socket.as_fd(),
                &mut [IoSliceMut::new(&mut self.input[have..])],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC | flags,
            );
            self.input.truncate(have + got.as_ref().map_or(0, |got| got.bytes));
            match got {
                Ok(got) => {
                    self.fds.extend(take_fds(&mut ancillary));
                    if got.bytes == 0 {
                        return Ok(false);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.input[self.at..self.at + count].to_vec();
        self.at += count;
        taken
    }

    fn take_header(&mut self) -> Result<Header, ChannelError> {
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(&self.input[self.at..self.at + HEADER]);
        self.at += HEADER;
        Header::decode(bytes)
    }
}

/// The descriptor to wait on: it is readable when [`Port::receive`] has
/// something to do.
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Stops a port from another thread.
#[derive(Debug)]
pub struct Stopper {
    socket: OwnedFd,
}

impl Stopper {
    /// No request comes in any more: a waiting [`Port::receive`] returns what
    /// has already arrived, then `None`. Answers still go out. From here on
    /// [`Port::cancelled`] means nothing.
    pub fn stop(&self) {
        // It only fails when the gateway has gone, which is as good.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }
}

/// Encodes a request's payload: body length, number of pairs, the lengths of
/// all names and values, then their bytes.
#[cfg(feature = "gateway")]
pub(crate) fn encode_request(out: &mut Vec<u8>, params: &Params, body_length: u64) {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&body_length.to_le_bytes());
    out.extend_from_slice(&word(params.len()));
    for (name, value) in params {
        out.extend_from_slice(&word(name.len()));
        out.extend_from_slice(&word(value.len()));
    }
    for (name, value) in params {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

fn decode_request(payload: Vec<u8>) -> Result<(Params, u64), ChannelError> {
    const SHORT: ChannelError = ChannelError::Broken("a request's params end early");
    let (length, rest) = payload.split_first_chunk::<8>().ok_or(SHORT)?;
    let length = u64::from_le_bytes(*length);
    let (count, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let count = u32::from_le_bytes(*count) as usize;
    let index = rest.get(..count.checked_mul(8).ok_or(SHORT)?).ok_or(SHORT)?;
    let (words, _) = index.as_chunks::<4>();
    let lengths: Vec<usize> = words.iter().map(|w| u32::from_le_bytes(*w) as usize).collect();
    let mut at = 12 + count * 8;
    let mut params = Params::over(payload);
    for pair in lengths.chunks_exact(2) {
        let (name, value) = (pair[0], pair[1]);
        params.push_span(at..at + name, at + name..at + name + value).map_err(|_| SHORT)?;
        at += name + value;
    }
    Ok((params, length))
}
