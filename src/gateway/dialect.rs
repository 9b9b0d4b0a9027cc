//! What a connection hears and says, whichever protocol it is in.

use bytes::BytesMut;
use cgi::Params;
use fastcgi_server as fcgi;
use fcgi::ProtocolStatus;
use flupd_channel::Role;
use scgi_server as scgi;

use super::entry::Entry;
use super::refusal::Refusal;
use crate::config::{Limits, Protocol};

/// SCGI carries one request a connection and has no ids.
const SCGI_ID: u16 = 1;

/// What the web server said about one request.
#[derive(Debug)]
pub(super) enum Event<'i> {
    /// A request begins; `keep` says whether the connection outlives it.
    Begin { id: u16, keep: bool, role: Role },
    /// Its params are complete.
    Params { id: u16, params: Params },
    /// A part of its body.
    Body { id: u16, bytes: &'i [u8] },
    /// Its body is complete.
    BodyEnd { id: u16 },
    /// A part of the file that a Filter works on.
    Data { id: u16, bytes: &'i [u8] },
    /// That file is complete.
    DataEnd { id: u16 },
    /// Nobody waits for its answer any more.
    Abort { id: u16 },
    /// It can't be served; nothing more of it follows.
    Refused { id: u16, refusal: Refusal },
    /// It was asked for in a role that is not played here, and is answered.
    UnknownRole { role: u16 },
}

/// The codec of one connection.
#[derive(Debug)]
pub(super) enum Dialect {
    Fastcgi(fcgi::Decoder),
    Scgi { decoder: scgi::Decoder, begun: bool, deaf: bool },
}

impl Dialect {
    /// The codec for a connection of this listener.
    pub(super) fn new(entry: &Entry, limits: &Limits) -> Self {
        match entry.protocol {
            Protocol::Fastcgi => {
                let multiplexes = limits.requests_per_connection > 1;
                let limits = fcgi::Limits {
                    max_params: entry.params.get(),
                    max_requests: limits.requests_per_connection,
                };
                let most = if entry.alone { 1 } else { entry.capacity.get() };
                let most = u32::try_from(most).unwrap_or(u32::MAX);
                let capabilities = fcgi::Capabilities {
                    max_conns: most,
                    max_reqs: most,
                    mpxs_conns: multiplexes && !entry.alone,
                    roles: entry.roles.get(),
                };
                Self::Fastcgi(fcgi::Decoder::new(limits, capabilities))
            }
            // The status has a listener of its own, and never comes here.
            Protocol::Scgi | Protocol::Status => {
                let limits = scgi::Limits { max_headers: entry.params.get() };
                Self::Scgi { decoder: scgi::Decoder::new(limits), begun: false, deaf: false }
            }
        }
    }

    /// Takes the next event from the front of `input`, and says how many bytes
    /// it took; no event means that all was taken and more is needed. What the
    /// protocol owes by itself goes to `out`.
    ///
    /// # Errors
    /// The rule the peer broke, after which this connection can't go on.
    pub(super) fn decode<'i>(
        &mut self,
        input: &'i [u8],
        out: &mut BytesMut,
    ) -> Result<(usize, Option<Event<'i>>), fcgi::Error> {
        match self {
            Self::Fastcgi(decoder) => Ok(match decoder.decode(input, out)? {
                (used, fcgi::Outcome::NeedMore) => (used, None),
                (used, fcgi::Outcome::Event(event)) => (used, Some(from_fastcgi(event))),
            }),
            // After a broken rule the rest of the bytes has no meaning.
            Self::Scgi { deaf: true, .. } => Ok((input.len(), None)),
            Self::Scgi { begun, .. } if !*begun && !input.is_empty() => {
                *begun = true;
                Ok((0, Some(Event::Begin { id: SCGI_ID, keep: false, role: Role::Responder })))
            }
            Self::Scgi { decoder, deaf, .. } => Ok(match decoder.decode(input) {
                Ok((used, scgi::Outcome::NeedMore)) => (used, None),
                Ok((used, scgi::Outcome::Event(event))) => (used, Some(from_scgi(event))),
                Err(error) => {
                    *deaf = true;
                    (input.len(), Some(refused_scgi(&error)))
                }
            }),
        }
    }

    /// How many of the next bytes are sure to be body of which request; 0 if none.
    pub(super) fn expected_body(&self) -> (u16, usize) {
        match self {
            Self::Fastcgi(decoder) => decoder.expected_stdin(),
            Self::Scgi { decoder, .. } => {
                (SCGI_ID, usize::try_from(decoder.expected_body()).unwrap_or(usize::MAX))
            }
        }
    }

    /// So many of the bytes that were expected are where they belong.
    pub(super) fn received_body(&mut self, count: usize) {
        match self {
            Self::Fastcgi(decoder) => decoder.received_stdin(count),
            Self::Scgi { decoder, .. } => decoder.received_body(count as u64),
        }
    }

    /// Whether answers travel in records.
    pub(super) const fn is_fastcgi(&self) -> bool {
        matches!(self, Self::Fastcgi(_))
    }

    /// Appends a part of an answer.
    pub(super) fn body(&self, out: &mut BytesMut, id: u16, bytes: &[u8]) {
        match self {
            Self::Fastcgi(_) => fcgi::encode::stdout(out, id, bytes),
            Self::Scgi { .. } => out.extend_from_slice(bytes),
        }
    }

    /// Appends text for the web server's error log; SCGI has none.
    pub(super) fn stderr(&self, out: &mut BytesMut, id: u16, text: &[u8]) {
        if self.is_fastcgi() {
            fcgi::encode::stderr(out, id, text);
        }
    }

    /// Appends the end of an answer, and forgets the request.
    pub(super) fn end(&mut self, out: &mut BytesMut, id: u16) {
        if self.is_fastcgi() {
            fcgi::encode::end_request(out, id, 0, ProtocolStatus::RequestComplete);
        }
        self.forget(id);
    }

    /// Appends what makes the web server see that an answer is cut; the
    /// connection has to be closed after it. SCGI has nothing but the close.
    pub(super) fn cut(&self, out: &mut BytesMut) {
        if self.is_fastcgi() {
            fcgi::encode::cut(out);
        }
    }

    /// The same for one answer, where others go on: the connection stays. Only
    /// FastCGI has others.
    pub(super) fn cut_one(&mut self, out: &mut BytesMut, id: u16) {
        if self.is_fastcgi() {
            fcgi::encode::cut_one(out, id);
        }
        self.forget(id);
    }

    /// The answer's end has been encoded: the id is free again.
    pub(super) fn forget(&mut self, id: u16) {
        if let Self::Fastcgi(decoder) = self {
            decoder.finish(id);
        }
    }

    /// Whether the web server has refused to keep a connection on which nothing
    /// is open.
    pub(super) const fn wants_close(&self) -> bool {
        match self {
            Self::Fastcgi(decoder) => decoder.wants_close(),
            Self::Scgi { .. } => false,
        }
    }

    /// Whether what has been read ends with a whole request: what comes next belongs
    /// to none that is open.
    pub(super) fn is_between_requests(&self) -> bool {
        match self {
            Self::Fastcgi(decoder) => decoder.is_between_requests(),
            Self::Scgi { decoder, .. } => decoder.is_idle(),
        }
    }

    /// Whether the end of input comes where a request could begin.
    pub(super) const fn is_idle(&self) -> bool {
        match self {
            Self::Fastcgi(decoder) => decoder.is_idle(),
            Self::Scgi { decoder, deaf, .. } => decoder.is_idle() || *deaf,
        }
    }
}

fn from_fastcgi(event: fcgi::Event<'_>) -> Event<'_> {
    match event {
        fcgi::Event::Begin { id, keep_conn, role } => {
            Event::Begin { id, keep: keep_conn, role: from_fastcgi_role(role) }
        }
        fcgi::Event::Params { id, params } => Event::Params { id, params },
        fcgi::Event::Stdin { id, bytes } => Event::Body { id, bytes },
        fcgi::Event::StdinEnd { id } => Event::BodyEnd { id },
        fcgi::Event::Data { id, bytes } => Event::Data { id, bytes },
        fcgi::Event::DataEnd { id } => Event::DataEnd { id },
        fcgi::Event::Abort { id } => Event::Abort { id },
        fcgi::Event::UnknownRole { role } => Event::UnknownRole { role },
        fcgi::Event::Refused { id, reason, keep_conn: _ } => Event::Refused {
            id,
            refusal: match reason {
                fcgi::Refusal::ParamsTooLarge { .. } => {
                    Refusal::params_too_large(format!("{reason} (--max-params)"))
                }
                _ => Refusal::bad_request(reason.to_string()),
            },
        },
    }
}

const fn from_fastcgi_role(role: fcgi::Role) -> Role {
    match role {
        fcgi::Role::Responder => Role::Responder,
        fcgi::Role::Authorizer => Role::Authorizer,
        fcgi::Role::Filter => Role::Filter,
    }
}

fn from_scgi(event: scgi::Event<'_>) -> Event<'_> {
    match event {
        scgi::Event::Params { params, content_length: _ } => Event::Params { id: SCGI_ID, params },
        scgi::Event::Body { bytes } => Event::Body { id: SCGI_ID, bytes },
        scgi::Event::End => Event::BodyEnd { id: SCGI_ID },
    }
}

fn refused_scgi(error: &scgi::Error) -> Event<'static> {
    let refusal = if error.is_too_large() {
        Refusal::params_too_large(format!("{error} (--max-params)"))
    } else {
        Refusal::bad_request(error.to_string())
    };
    Event::Refused { id: SCGI_ID, refusal }
}
