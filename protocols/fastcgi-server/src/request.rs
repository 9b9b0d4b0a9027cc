//! One request's input, as a state machine. All its moves stand in this file.

use crate::params;
use crate::{Event, RecordType, Refusal, Role};

/// Room behind the params, in bytes, for the few that
/// [`cgi::environ::normalise`] appends: the block need not move for them.
const SPARE: usize = 64;

/// A request between its `BEGIN_REQUEST` and the driver's `finish`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: u16,
    role: Role,
    keep_conn: bool,
    state: State,
}

///   BEGIN ──▶ Params ──empty PARAMS──▶ Input { stdin, data }
///               │                        │   an empty STDIN or DATA closes that stream
///               │ refused, ABORT         │ ABORT
///               └────────▶ Ignored ◀─────┘
///
/// `finish` ends it from any state. A record that has no arrow here (more of a
/// stream that has ended, DATA for a Responder) is ignored whole.
#[derive(Debug)]
enum State {
    /// Gathers the PARAMS stream.
    Params(Vec<u8>),
    /// Takes the streams that are still open.
    Input { stdin: bool, data: bool },
    /// Aborted or refused: nothing more of it counts.
    Ignored,
}

/// What becomes of a record whose header has been read.
pub(crate) enum Move {
    /// Its content belongs to the request.
    Take,
    /// Its content is passed over.
    Skip,
    /// It means this; its content, if any, is passed over.
    Say(Event<'static>),
}

impl Request {
    pub(crate) const fn begin(id: u16, role: Role, keep_conn: bool) -> Self {
        Self { id, role, keep_conn, state: State::Params(Vec::new()) }
    }

    /// A record of this request begins, with `len` bytes of content.
    pub(crate) fn record(&mut self, kind: RecordType, len: u16, max_params: usize) -> Move {
        let id = self.id;
        match (&mut self.state, kind) {
            (State::Ignored, _) => Move::Skip,
            (_, RecordType::AbortRequest) => {
                self.state = State::Ignored;
                Move::Say(Event::Abort { id })
            }
            (State::Params(block), RecordType::Params) if len == 0 => {
                let block = std::mem::take(block);
                Move::Say(self.end_params(block))
            }
            (State::Params(block), RecordType::Params) => {
                // Both are small enough that the sum cannot overflow.
                if block.len() + usize::from(len) > max_params {
                    Move::Say(self.refuse(Refusal::ParamsTooLarge { limit: max_params }))
                } else {
                    Move::Take
                }
            }
            (State::Params(_), RecordType::Stdin) => {
                Move::Say(self.refuse(Refusal::StdinBeforeParams))
            }
            (State::Input { stdin: open @ true, .. }, RecordType::Stdin) => {
                *open = len > 0;
                if *open { Move::Take } else { Move::Say(Event::StdinEnd { id }) }
            }
            (State::Input { data: open @ true, .. }, RecordType::Data) => {
                *open = len > 0;
                if *open { Move::Take } else { Move::Say(Event::DataEnd { id }) }
            }
            _ => Move::Skip,
        }
    }

    /// Some content of a record that was taken.
    pub(crate) fn content<'i>(&mut self, kind: RecordType, bytes: &'i [u8]) -> Option<Event<'i>> {
        let id = self.id;
        match (&mut self.state, kind) {
            (State::Params(block), RecordType::Params) => {
                if block.is_empty() {
                    block.reserve(bytes.len() + SPARE);
                }
                block.extend_from_slice(bytes);
                None
            }
            (State::Input { .. }, RecordType::Stdin) => Some(Event::Stdin { id, bytes }),
            (State::Input { .. }, RecordType::Data) => Some(Event::Data { id, bytes }),
            _ => None,
        }
    }

    /// Whether more of its input is to come.
    pub(crate) const fn is_receiving(&self) -> bool {
        match self.state {
            State::Params(_) => true,
            State::Input { stdin, data } => stdin || data,
            State::Ignored => false,
        }
    }

    fn end_params(&mut self, block: Vec<u8>) -> Event<'static> {
        match params::decode(block) {
            Ok(params) => {
                self.state = State::Input {
                    // Section 6.3: an Authorizer is given params and no body.
                    // Some servers send an empty STDIN all the same, some do not.
                    stdin: self.role != Role::Authorizer,
                    data: self.role == Role::Filter,
                };
                Event::Params { id: self.id, params }
            }
            Err(malformed) => self.refuse(malformed.into()),
        }
    }

    fn refuse(&mut self, reason: Refusal) -> Event<'static> {
        self.state = State::Ignored;
        Event::Refused { id: self.id, keep_conn: self.keep_conn, reason }
    }
}
