//! The frames in a response ring: an eight-byte header, then a payload.
//!
//! ```text
//! u32 payload length (little endian) · u8 kind · u8 detail · u16 zero
//! ```

use crate::ChannelError;

/// The length of a frame header.
pub(crate) const HEADER: usize = 8;

/// The largest payload of a frame. The worker splits longer ones.
pub(crate) const MAX_REPLY: usize = 256 * 1024;

/// The detail of a [`Kind::Head`] frame that is not the last of its head.
pub(crate) const MORE: u8 = 1;

/// The detail of the last [`Kind::Head`] or [`Kind::Body`] frame of an answer that has
/// as many bytes now as its head has promised.
pub(crate) const WHOLE: u8 = 2;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nothing: the way back to the ring's start.
    Pad = 1,
    /// The CGI response head, blank line included; detail [`MORE`], [`WHOLE`] or 0.
    Head = 2,
    /// A part of the body; detail [`WHOLE`] or 0.
    Body = 3,
    /// Text for `wsgi.errors`, whole lines.
    Stderr = 4,
    /// A line for flupd's own log; detail is the level.
    Log = 5,
    /// The answer is finished; detail is the [`Outcome`].
    End = 6,
    /// The request's times; right before the end.
    Times = 7,
}

impl Kind {
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Pad,
            2 => Self::Head,
            3 => Self::Body,
            4 => Self::Stderr,
            5 => Self::Log,
            6 => Self::End,
            7 => Self::Times,
            _ => return None,
        })
    }
}

/// How an app's answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Head and body are whole.
    Complete = 0,
    /// The body ends early; the web server must see that it is cut.
    Cut = 1,
    /// Nothing was sent: the app failed before its head.
    Failed = 2,
    /// The app asked to exit (`SystemExit`); the worker leaves when its other
    /// requests are done. What was sent before is cut.
    Exit = 3,
}

impl Outcome {
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Complete,
            1 => Self::Cut,
            2 => Self::Failed,
            3 => Self::Exit,
            _ => return None,
        })
    }
}

/// How grave a worker's log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LogLevel {
    /// A failure that cost a request.
    Error = 1,
    /// Something the app's author should mend.
    Warn = 2,
    /// Of interest in ordinary operation.
    Info = 3,
}

impl LogLevel {
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            _ => return None,
        })
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) kind: Kind,
    pub(crate) detail: u8,
}

impl Header {
    /// Encodes the header. The length is below that of a ring.
    pub(crate) const fn encode(self) -> [u8; HEADER] {
        let [a, b, c, d] = (self.length as u32).to_le_bytes();
        [a, b, c, d, self.kind as u8, self.detail, 0, 0]
    }

    /// Decodes a header.
    ///
    /// # Errors
    /// [`ChannelError::Broken`] for an unknown kind.
    pub(crate) fn decode(bytes: [u8; HEADER]) -> Result<Self, ChannelError> {
        let [a, b, c, d, kind, detail, _, _] = bytes;
        let kind = Kind::from_byte(kind).ok_or(ChannelError::Broken("unknown frame kind"))?;
        Ok(Self { length: u32::from_le_bytes([a, b, c, d]) as usize, kind, detail })
    }
}
