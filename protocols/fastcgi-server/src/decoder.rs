//! From bytes to events, for the application's end of a connection.

use bytes::BytesMut;

use crate::framing::{Eight, Framing, Piece};
use crate::record::{Header, KEEP_CONN, NULL_REQUEST_ID};
use crate::request::{Move, Request};
use crate::{
    Capabilities, Error, Event, Limits, Outcome, ProtocolStatus, RecordType, Role, encode, params,
};

/// The longest `GET_VALUES` that is read: its three names take 48 bytes.
const MAX_VALUES: u16 = 1024;

/// Decodes what a web server sends on one connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    capabilities: Capabilities,
    framing: Framing,
    content: Content,
    /// Sorted by id.
    requests: Vec<Request>,
    /// An Authorizer whose params have been given out: its `StdinEnd` is next.
    bodiless: Option<u16>,
    wants_close: bool,
    failed: Option<Error>,
}

/// Whom the content of the current record belongs to.
#[derive(Debug)]
enum Content {
    Skip,
    Begin { id: u16, body: Eight },
    Request { id: u16, kind: RecordType },
    GetValues(Vec<u8>),
}

impl Decoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub const fn new(limits: Limits, capabilities: Capabilities) -> Self {
        Self {
            limits,
            capabilities,
            framing: Framing::new(),
            content: Content::Skip,
            requests: Vec::new(),
            bodiless: None,
            wants_close: false,
            failed: None,
        }
    }

    /// Looks at the front of `input` and says how many bytes were consumed and
    /// what they meant. Call it again with the rest, even an empty rest, until
    /// it answers [`Outcome::NeedMore`]; then all is consumed.
    ///
    /// What the protocol owes by itself is appended to `owed`, whole records of
    /// it: `GET_VALUES_RESULT`, `UNKNOWN_TYPE`, and the `END_REQUEST` of a BEGIN
    /// that is refused. The driver writes it between its own records, and reads
    /// no more from a peer that does not take it: one call appends at most a few
    /// times the length of its input.
    ///
    /// # Errors
    /// [`Error`] when the peer broke a rule and the connection has to be closed.
    /// Every later call fails the same way.
    pub fn decode<'i>(
        &mut self,
        input: &'i [u8],
        owed: &mut BytesMut,
    ) -> Result<(usize, Outcome<'i>), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(id) = self.bodiless.take() {
            return Ok((0, Outcome::Event(Event::StdinEnd { id })));
        }
        let mut rest = input;
        let event = self.next_event(&mut rest, owed).inspect_err(|&e| self.failed = Some(e))?;
        Ok((input.len() - rest.len(), event.map_or(Outcome::NeedMore, Outcome::Event)))
    }

    /// The driver has sent the `END_REQUEST` of this request: the id is free
    /// again, and what still arrives for it is ignored whole.
    pub fn finish(&mut self, id: u16) {
        if let Ok(at) = self.find(id) {
            self.requests.remove(at);
        }
        if self.bodiless == Some(id) {
            self.bodiless = None;
        }
    }

    /// How many of the next input bytes are sure to be body of which request: 0
    /// if none is. A driver may receive so many, or fewer, straight to where it
    /// gathers that body, and say so with [`Decoder::received_stdin`].
    #[must_use]
    pub fn expected_stdin(&self) -> (u16, usize) {
        match self.content {
            Content::Request { id, kind: RecordType::Stdin } if self.find(id).is_ok() => {
                (id, self.framing.expected())
            }
            _ => (NULL_REQUEST_ID, 0),
        }
    }

    /// The next `count` input bytes, at most what [`Decoder::expected_stdin`]
    /// said, were received by the driver: they are not input any more, and no
    /// [`Event::Stdin`] comes for them.
    pub fn received_stdin(&mut self, count: usize) {
        self.framing.passed(count);
    }

    /// How many requests have begun and not been finished.
    #[must_use]
    pub const fn open_requests(&self) -> usize {
        self.requests.len()
    }

    /// Whether the input stopped at a record boundary with no request open: an
    /// end of file here is a clean one.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.framing.at_boundary()
    }

    /// Whether some request's input is not complete: the driver should be reading.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.requests.iter().any(Request::is_receiving)
    }

    /// Whether the input stopped at a record boundary and every open request is
    /// complete: what comes next is about a new one, or an ABORT.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        self.framing.at_boundary() && !self.is_receiving()
    }

    /// Whether a BEGIN without `KEEP_CONN` was refused: the driver closes once
    /// `owed` is flushed and no request is open.
    #[must_use]
    pub const fn wants_close(&self) -> bool {
        self.wants_close
    }

    fn next_event<'i>(
        &mut self,
        input: &mut &'i [u8],
        owed: &mut BytesMut,
    ) -> Result<Option<Event<'i>>, Error> {
        while let Some(piece) = self.framing.next(input)? {
            let event = match piece {
                Piece::Header(header) => self.header(header, owed)?,
                Piece::Content { bytes, last } => self.content(bytes, last, owed)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn header(
        &mut self,
        header: Header,
        owed: &mut BytesMut,
    ) -> Result<Option<Event<'static>>, Error> {
        self.content = Content::Skip;
        let Header { kind: number, id, content: len, .. } = header;
        let kind = RecordType::from_number(number);
        if id == NULL_REQUEST_ID {
            self.management(number, kind, len, owed)?;
            return Ok(None);
        }
        let Some(kind) = kind else { return Ok(None) };
        let found = self.find(id);
        if kind == RecordType::BeginRequest {
            if found.is_ok() {
                return Err(Error::DuplicateBegin { id });
            }
            if len != 8 {
                return Err(Error::BodyLength { record: kind, got: len });
            }
            self.content = Content::Begin { id, body: Eight::new() };
            return Ok(None);
        }
        let request = found.ok().and_then(|at| self.requests.get_mut(at));
        let Some(request) = request else { return Ok(None) };
        match request.record(kind, len, self.limits.max_params) {
            Move::Skip => Ok(None),
            Move::Take => {
                self.content = Content::Request { id, kind };
                Ok(None)
            }
            Move::Say(event) => {
                if matches!(event, Event::Params { .. }) && !request.is_receiving() {
                    self.bodiless = Some(id);
                }
                Ok(Some(event))
            }
        }
    }

    /// Section 4: a record with id 0.
    fn management(
        &mut self,
        number: u8,
        kind: Option<RecordType>,
        len: u16,
        owed: &mut BytesMut,
    ) -> Result<(), Error> {
        match kind {
            Some(RecordType::GetValues) if len == 0 => {
                self.capabilities.answer(std::iter::empty(), owed);
            }
            Some(record @ RecordType::GetValues) => {
                if len > MAX_VALUES {
                    return Err(Error::ValuesTooLarge { record, got: len, limit: MAX_VALUES });
                }
                self.content = Content::GetValues(Vec::new());
            }
            _ => encode::unknown_type(owed, number),
        }
        Ok(())
    }

    fn content<'i>(
        &mut self,
        mut bytes: &'i [u8],
        last: bool,
        owed: &mut BytesMut,
    ) -> Result<Option<Event<'i>>, Error> {
        match &mut self.content {
            Content::Skip => Ok(None),
            Content::Begin { id, body } => {
                let id = *id;
                Ok(body.fill(&mut bytes).and_then(|body| self.begin(id, body, owed)))
            }
            Content::Request { id, kind } => {
                let (id, kind) = (*id, *kind);
                // The driver may have finished it in the middle of this record.
                let request = self.find(id).ok().and_then(|at| self.requests.get_mut(at));
                Ok(request.and_then(|request| request.content(kind, bytes)))
            }
            Content::GetValues(block) => {
                block.extend_from_slice(bytes);
                if last {
                    let record = RecordType::GetValues;
                    let asked = params::decode(std::mem::take(block))
                        .map_err(|reason| Error::ValuesMalformed { record, reason })?;
                    self.capabilities.answer(asked.iter().map(|(name, _)| name), owed);
                }
                Ok(None)
            }
        }
    }

    /// Section 5.1: `roleB1 roleB0 flags reserved[5]`.
    fn begin(&mut self, id: u16, body: [u8; 8], owed: &mut BytesMut) -> Option<Event<'static>> {
        let [role1, role0, flags, ..] = body;
        let keep_conn = flags & KEEP_CONN != 0;
        let role = u16::from_be_bytes([role1, role0]);
        match self.admit(role) {
            Ok(role) => {
                if let Err(at) = self.find(id) {
                    self.requests.insert(at, Request::begin(id, role, keep_conn));
                }
                Some(Event::Begin { id, role, keep_conn })
            }
            Err(status) => {
                encode::end_request(owed, id, 0, status);
                self.wants_close |= !keep_conn;
                let unknown = status == ProtocolStatus::UnknownRole;
                unknown.then_some(Event::UnknownRole { role })
            }
        }
    }

    fn admit(&self, role: u16) -> Result<Role, ProtocolStatus> {
        let role = Role::from_number(role)
            .filter(|&role| self.capabilities.roles.contains(role))
            .ok_or(ProtocolStatus::UnknownRole)?;
        if !self.capabilities.mpxs_conns && !self.requests.is_empty() {
            return Err(ProtocolStatus::CantMpxConn);
        }
        if self.requests.len() >= usize::from(self.limits.max_requests) {
            return Err(ProtocolStatus::Overloaded);
        }
        Ok(role)
    }

    fn find(&self, id: u16) -> Result<usize, usize> {
        self.requests.binary_search_by_key(&id, |request| request.id)
    }
}
