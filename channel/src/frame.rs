//! The frames on a port: an eight-byte header, then a payload.
//!
//! ```text
//! u32 payload length (little endian) · u8 kind · u8 detail · u16 zero
//! ```

use crate::ChannelError;

/// The length of a frame header.
pub(crate) const HEADER: usize = 8;

/// The largest payload of a worker's reply. The worker splits longer ones.
pub(crate) const MAX_REPLY: usize = 256 * 1024;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// gateway → worker: params; detail says what the body is.
    Request = 1,
    /// gateway → worker: nobody waits for the answer any more.
    Cancel = 2,
    /// worker → gateway: the CGI response head, blank line included.
    Head = 3,
    /// worker → gateway: a part of the body.
    Body = 4,
    /// worker → gateway: text for `wsgi.errors`, whole lines.
    Stderr = 5,
    /// worker → gateway: a line for flupd's own log; detail is the level.
    Log = 6,
    /// worker → gateway: the answer is finished; detail is the [`Outcome`].
    End = 7,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::Cancel,
            3 => Self::Head,
            4 => Self::Body,
            5 => Self::Stderr,
            6 => Self::Log,
            7 => Self::End,
            _ => return None,
        })
    }
}

/// Where the body of a request is: the detail of a [`Kind::Request`] frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BodyPlace {
    /// The body's bytes follow the frame.
    Inline = 0,
    /// The body is a file; its descriptor travels with the frame's first byte.
    File = 1,
}

impl BodyPlace {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Inline),
            1 => Some(Self::File),
            _ => None,
        }
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
    /// Encodes the header.
    ///
    /// # Errors
    /// [`ChannelError::Broken`] for a payload past 4 GiB.
    pub(crate) fn encode(self) -> Result<[u8; HEADER], ChannelError> {
        let length = u32::try_from(self.length)
            .map_err(|_| ChannelError::Broken("a frame's payload exceeds 4 GiB"))?;
        let [a, b, c, d] = length.to_le_bytes();
        Ok([a, b, c, d, self.kind as u8, self.detail, 0, 0])
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
