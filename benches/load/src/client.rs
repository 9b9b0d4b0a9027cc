//! One connection that asks and is answered, without ever blocking.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use anyhow::Result;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::address::Address;
use crate::answer::Answer;
use crate::request::Protocol;

/// The server under load.
#[derive(Debug)]
pub struct Target {
    pub address: Address,
    pub protocol: Protocol,
    /// Whether connections are kept.
    pub keep: bool,
}

/// One client of the server.
#[derive(Debug)]
pub struct Client<'a> {
    target: &'a Target,
    socket: Option<OwnedFd>,
    asked: Option<Asked<'a>>,
}

/// A request under way.
#[derive(Debug)]
struct Asked<'a> {
    request: &'a [u8],
    sent: usize,
    answer: Answer,
    answered: bool,
    /// The connection was kept from an earlier request, so that the server may
    /// just have closed it.
    kept: bool,
    due: Instant,
}

impl<'a> Client<'a> {
    /// Connects with the first request.
    pub const fn new(target: &'a Target) -> Self {
        Self { target, socket: None, asked: None }
    }

    /// Sends a request that was due at a time. The one before must be over.
    ///
    /// # Errors
    /// When there is nobody to connect to, or no good answer.
    pub fn ask(&mut self, request: &'a [u8], due: Instant) -> Result<()> {
        let answer = Answer::new(self.target.protocol);
        let kept = self.socket.is_some();
        self.asked = Some(Asked { request, sent: 0, answer, answered: false, kept, due });
        self.send()
    }

    /// When the request under way was due.
    pub fn due(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.due)
    }

    /// What to poll for; `None` without a connection: then try [`Self::advance`] again soon.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let asked = self.asked.as_ref()?;
        let unsent = asked.sent < asked.request.len();
        let flags = if unsent { PollFlags::OUT | PollFlags::IN } else { PollFlags::IN };
        self.socket.as_ref().map(|socket| (socket.as_fd(), flags))
    }

    /// Goes on with the request under way. Its due time when the answer is complete.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn advance(&mut self, buffer: &mut [u8]) -> Result<Option<Instant>> {
        self.send()?;
        while let (Some(socket), Some(asked)) = (&self.socket, &mut self.asked) {
            let over = match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::AGAIN) => return Ok(None),
                Ok((0, _)) | Err(Errno::CONNRESET | Errno::PIPE)
                    if asked.kept && !asked.answered =>
                {
                    return self.again().map(|()| None);
                }
                Ok((0, _)) => {
                    asked.answer.end()?;
                    true
                }
                Ok((length, _)) => {
                    asked.answered = true;
                    asked.answer.take(&buffer[..length])?
                }
                Err(errno) => return Err(errno.into()),
            };
            if over {
                let due = asked.due;
                self.asked = None;
                if !self.target.keep {
                    self.socket = None;
                }
                return Ok(Some(due));
            }
        }
        Ok(None)
    }

    /// Gives the connection away, with what was sent on it.
    pub fn into_socket(self) -> Option<OwnedFd> {
        self.socket
    }

    fn send(&mut self) -> Result<()> {
        let Some(asked) = &mut self.asked else { return Ok(()) };
        let socket = match &self.socket {
            Some(socket) => socket,
            None => match self.target.address.connect() {
                Ok(socket) => self.socket.insert(socket),
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            },
        };
        while asked.sent < asked.request.len() {
            match send(socket, &asked.request[asked.sent..], SendFlags::NOSIGNAL) {
                Ok(length) => asked.sent += length,
                Err(Errno::AGAIN | Errno::NOTCONN) => break,
                // What was answered before the close is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The server had closed the kept connection: the request goes out on a new one.
    fn again(&mut self) -> Result<()> {
        self.socket = None;
        if let Some(asked) = &mut self.asked {
            asked.sent = 0;
            asked.kept = false;
        }
        self.send()
    }
}
