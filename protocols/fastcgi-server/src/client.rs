//! The web server's end of a connection, for debugging clients, load generators
//! and tests: requests go out, responses come in.

use bytes::{BufMut, BytesMut};
use cgi::Params;

use crate::encode::{padding, record, stream};
use crate::framing::{Eight, Framing, Piece};
use crate::record::{Header, KEEP_CONN, NULL_REQUEST_ID};
use crate::{Error, ProtocolStatus, RecordType, Role, params as pairs};

/// The longest `GET_VALUES_RESULT` that is read, in bytes.
const MAX_VALUES: u16 = 4096;

/// Starts a request. `id` is 1 to 65535.
pub fn begin(out: &mut BytesMut, id: u16, role: Role, keep_conn: bool) {
    let [role1, role0] = (role as u16).to_be_bytes();
    let flags = if keep_conn { KEEP_CONN } else { 0 };
    record(out, RecordType::BeginRequest, id, &[role1, role0, flags, 0, 0, 0, 0, 0], 0);
}

/// The whole PARAMS stream, in as many records as it takes, and its end. A pair
/// with a name or value of 2 GiB or more is left out: the protocol has no such length.
pub fn params(out: &mut BytesMut, id: u16, params: &Params) {
    let mut block = BytesMut::with_capacity(params.bytes().len() + 2 * params.len());
    for (name, value) in params {
        pairs::encode(&mut block, name, value);
    }
    stream(out, RecordType::Params, id, &block, padding);
    end(out, RecordType::Params, id);
}

/// A part of the body. An empty part appends nothing.
pub fn stdin(out: &mut BytesMut, id: u16, bytes: &[u8]) {
    stream(out, RecordType::Stdin, id, bytes, padding);
}

/// The end of the body.
pub fn stdin_end(out: &mut BytesMut, id: u16) {
    end(out, RecordType::Stdin, id);
}

/// A part of a Filter's file. An empty part appends nothing.
pub fn data(out: &mut BytesMut, id: u16, bytes: &[u8]) {
    stream(out, RecordType::Data, id, bytes, padding);
}

/// The end of a Filter's file.
pub fn data_end(out: &mut BytesMut, id: u16) {
    end(out, RecordType::Data, id);
}

/// Gives a request up.
pub fn abort(out: &mut BytesMut, id: u16) {
    end(out, RecordType::AbortRequest, id);
}

/// Asks for variables: `FCGI_MAX_CONNS`, `FCGI_MAX_REQS`, `FCGI_MPXS_CONNS`.
/// Names past the length of one record are left out.
pub fn get_values(out: &mut BytesMut, names: &[&[u8]]) {
    let mut block = BytesMut::new();
    for name in names {
        let before = block.len();
        pairs::encode(&mut block, name, b"");
        if block.len() > crate::encode::MAX_CONTENT {
            block.truncate(before);
        }
    }
    record(out, RecordType::GetValues, NULL_REQUEST_ID, &block, padding(block.len()));
}

fn end(out: &mut BytesMut, kind: RecordType, id: u16) {
    out.put_slice(&Header::bytes(kind, id, 0, 0));
}

/// The answer of [`Decoder::decode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'i> {
    /// All of the input was consumed, and it means nothing more yet.
    NeedMore,
    /// Something happened. More may stand in the rest of the input.
    Event(Event<'i>),
}

/// What the application said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A part of the response, as it came.
    Stdout {
        /// The request.
        id: u16,
        /// Never empty.
        bytes: &'i [u8],
    },
    /// A part of the error text, as it came.
    Stderr {
        /// The request.
        id: u16,
        /// Never empty.
        bytes: &'i [u8],
    },
    /// The request is over. Not every application ends STDOUT before this.
    End {
        /// The request.
        id: u16,
        /// What the application's `exit` would have returned.
        app_status: u32,
        /// Whether it was served, or why it was refused.
        protocol_status: ProtocolStatus,
    },
    /// The answer to `get_values`.
    Values(
        /// The variables the application knows.
        Params,
    ),
    /// The application does not know this management record.
    UnknownType {
        /// The type that was sent.
        kind: u8,
    },
}

/// Decodes what an application sends on one connection. It keeps no list of
/// requests: whose id it is, the driver knows.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    content: Content,
    failed: Option<Error>,
}

#[derive(Debug)]
enum Content {
    Skip,
    Stdout { id: u16 },
    Stderr { id: u16 },
    End { id: u16, body: Eight },
    Values(Vec<u8>),
    UnknownType(Eight),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self { framing: Framing::new(), content: Content::Skip, failed: None }
    }

    /// Looks at the front of `input` and says how many bytes were consumed and
    /// what they meant. At [`Outcome::NeedMore`] all are consumed.
    ///
    /// # Errors
    /// [`Error`] when the application broke a rule and the connection has to be
    /// closed. Every later call fails the same way.
    pub fn decode<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Outcome<'i>), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = input;
        let event = self.next_event(&mut rest).inspect_err(|&e| self.failed = Some(e))?;
        Ok((input.len() - rest.len(), event.map_or(Outcome::NeedMore, Outcome::Event)))
    }

    /// Whether the input stopped at a record boundary.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.framing.at_boundary()
    }

    fn next_event<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Event<'i>>, Error> {
        while let Some(piece) = self.framing.next(input)? {
            match piece {
                Piece::Header(header) => {
                    self.content = Content::of(header)?;
                    if header.content == 0 && matches!(self.content, Content::Values(_)) {
                        return Ok(Some(Event::Values(Params::new())));
                    }
                }
                Piece::Content { bytes, last } => {
                    if let Some(event) = self.content.take(bytes, last)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Content {
    fn of(header: Header) -> Result<Self, Error> {
        let Header { kind, id, content: len, .. } = header;
        let eight = |record| match len {
            8 => Ok(Eight::new()),
            got => Err(Error::BodyLength { record, got }),
        };
        Ok(match RecordType::from_number(kind) {
            Some(RecordType::Stdout) => Self::Stdout { id },
            Some(RecordType::Stderr) => Self::Stderr { id },
            Some(record @ RecordType::EndRequest) => Self::End { id, body: eight(record)? },
            Some(record @ RecordType::UnknownType) => Self::UnknownType(eight(record)?),
            Some(record @ RecordType::GetValuesResult) => {
                if len > MAX_VALUES {
                    return Err(Error::ValuesTooLarge { record, got: len, limit: MAX_VALUES });
                }
                Self::Values(Vec::new())
            }
            _ => Self::Skip,
        })
    }

    fn take<'i>(&mut self, mut bytes: &'i [u8], last: bool) -> Result<Option<Event<'i>>, Error> {
        match self {
            Self::Skip => Ok(None),
            Self::Stdout { id } => Ok(Some(Event::Stdout { id: *id, bytes })),
            Self::Stderr { id } => Ok(Some(Event::Stderr { id: *id, bytes })),
            Self::End { id, body } => {
                let Some([a, b, c, d, status, ..]) = body.fill(&mut bytes) else {
                    return Ok(None);
                };
                let protocol_status = ProtocolStatus::from_number(status)
                    .ok_or(Error::ProtocolStatus { got: status })?;
                let app_status = u32::from_be_bytes([a, b, c, d]);
                Ok(Some(Event::End { id: *id, app_status, protocol_status }))
            }
            Self::UnknownType(body) => {
                Ok(body.fill(&mut bytes).map(|[kind, ..]| Event::UnknownType { kind }))
            }
            Self::Values(block) => {
                block.extend_from_slice(bytes);
                if !last {
                    return Ok(None);
                }
                let record = RecordType::GetValuesResult;
                pairs::decode(std::mem::take(block))
                    .map(|values| Some(Event::Values(values)))
                    .map_err(|reason| Error::ValuesMalformed { record, reason })
            }
        }
    }
}
