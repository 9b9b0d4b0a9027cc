//! What has arrived of an answer, looked through in place and checked.

use bytes::BytesMut;

use crate::frame::{Kind, MORE, WHOLE};
use crate::gateway::Port;
use crate::memory::Window;
use crate::times::{self, Times};
use crate::{ChannelError, LogLevel, Outcome};

/// Where the answer of the request in front stands:
/// Asked → (first head) → Heading → (last head) → Answering → (end) → Asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Asked,
    Heading,
    Answering,
}

/// A piece of an answer, still in shared memory.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'p> {
    /// A part of the CGI response head, or all of it.
    Head {
        /// The text.
        text: Payload<'p>,
        /// Whether the head is complete with this.
        last: bool,
        /// Whether it promises no body.
        whole: bool,
    },
    /// A part of the body.
    Body {
        /// The bytes.
        part: Payload<'p>,
        /// Whether the body has as many bytes now as its head has promised.
        whole: bool,
    },
    /// Text for the web server's error log, whole lines.
    Stderr(Payload<'p>),
    /// A line for flupd's own log.
    Log(LogLevel, Payload<'p>),
    /// When the worker did what with the request.
    Times(Times),
    /// The answer is finished.
    End(Outcome),
}

/// The bytes of a reply: one run, or two where the ring goes around.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'p>(pub [Window<'p>; 2]);

impl<'p> Payload<'p> {
    /// How many bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0[0].len() + self.0[1].len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` bytes and the rest.
    #[must_use]
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let [first, second] = self.0;
        let (a, b) = first.split_at(count);
        let (c, d) = second.split_at(count.saturating_sub(first.len()));
        (Self([a, c]), if b.is_empty() { Self([d, b]) } else { Self([b, d]) })
    }

    /// Appends a copy.
    pub fn append_to(self, out: &mut BytesMut) {
        self.0.into_iter().for_each(|window| window.append_to(out));
    }

    /// A private copy as times, if it has their length.
    fn times(self) -> Option<Times> {
        let mut copy = BytesMut::new();
        if self.len() <= times::MAX_LENGTH {
            self.append_to(&mut copy);
        }
        Times::decode(&copy)
    }

    /// A private copy as text, what is not UTF-8 replaced.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut copy = BytesMut::new();
        self.append_to(&mut copy);
        String::from_utf8_lossy(&copy).into_owned()
    }
}

/// Looks through what has arrived, without giving it back yet.
#[derive(Debug)]
pub struct Replies<'p> {
    port: &'p Port,
    ahead: usize,
    state: State,
    ended: bool,
}

/// How much of a port's replies was taken.
#[derive(Debug, Clone, Copy)]
#[must_use = "pass it to Port::consume"]
pub struct Taken {
    size: usize,
    state: State,
    ended: bool,
}

impl Taken {
    /// In bytes of the ring.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Whether there was nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether the answer has ended.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

impl<'p> Replies<'p> {
    pub(crate) const fn new(port: &'p Port, state: State) -> Self {
        Self { port, ahead: 0, state, ended: false }
    }

    /// The next reply; `None` when no more has arrived, and after the end.
    ///
    /// # Errors
    /// [`ChannelError::Broken`] when the worker wrote what the protocol does not
    /// allow.
    pub fn look(&mut self) -> Result<Option<Reply<'p>>, ChannelError> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let (mapping, head) = (&self.port.mapping, self.port.head());
            let Some(frame) = self.port.ring.peek(mapping, head, self.ahead)? else {
                return Ok(None);
            };
            let (payload, detail) = (Payload(frame.payload), frame.header.detail);
            if self.port.staged() == 0 && frame.header.kind != Kind::Pad {
                return Err(ChannelError::Broken("a reply without a request"));
            }
            let reply = match frame.header.kind {
                Kind::Pad => None,
                Kind::Head => Some(Reply::Head {
                    text: payload,
                    last: detail != MORE,
                    whole: detail == WHOLE,
                }),
                Kind::Body => Some(Reply::Body { part: payload, whole: detail == WHOLE }),
                Kind::Stderr => Some(Reply::Stderr(payload)),
                Kind::Log => Some(Reply::Log(
                    LogLevel::from_byte(detail).ok_or(ChannelError::Broken("unknown log level"))?,
                    payload,
                )),
                Kind::Times => Some(Reply::Times(
                    payload.times().ok_or(ChannelError::Broken("times of another length"))?,
                )),
                Kind::End => Some(Reply::End(
                    Outcome::from_byte(detail).ok_or(ChannelError::Broken("unknown outcome"))?,
                )),
            };
            self.state = self.state.after(reply.as_ref())?;
            self.ended = matches!(reply, Some(Reply::End(_)));
            self.ahead += frame.size;
            if let Some(reply) = reply {
                return Ok(Some(reply));
            }
        }
    }

    /// How much was looked through.
    pub const fn taken(&self) -> Taken {
        Taken { size: self.ahead, state: self.state, ended: self.ended }
    }
}

impl State {
    /// The state after a reply, or the rule that it breaks.
    const fn after(self, reply: Option<&Reply<'_>>) -> Result<Self, ChannelError> {
        match (self, reply) {
            (Self::Asked | Self::Heading, Some(Reply::Head { last, .. })) => {
                Ok(if *last { Self::Answering } else { Self::Heading })
            }
            (Self::Answering, Some(Reply::Head { .. })) => {
                Err(ChannelError::Broken("a second head"))
            }
            (Self::Asked | Self::Heading, Some(Reply::Body { .. })) => {
                Err(ChannelError::Broken("a body before its head"))
            }
            (Self::Heading, Some(Reply::End(_))) => {
                Err(ChannelError::Broken("an end inside a head"))
            }
            (_, Some(Reply::End(_))) => Ok(Self::Asked),
            (same, _) => Ok(same),
        }
    }
}
