//! From bytes to events.

use cgi::Params;

use crate::{Error, headers};

/// The bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the header block. 1 MiB by default.
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_headers: 1 << 20 }
    }
}

/// The answer of [`Decoder::decode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'i> {
    /// All of the input was consumed, and it means nothing more yet.
    NeedMore,
    /// Something happened. More may stand in the rest of the input.
    Event(Event<'i>),
}

/// What the web server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// The headers are complete and obey the rules.
    Params {
        /// All of them in the order sent, CONTENT_LENGTH and SCGI included.
        params: Params,
        /// The length of the body in bytes.
        content_length: u64,
    },
    /// A part of the body, as it came.
    Body {
        /// Never empty.
        bytes: &'i [u8],
    },
    /// The body is complete. Whatever still arrives is ignored.
    End,
}

/// Decodes the one request of a connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
}

///   Length ──':'──▶ Headers ──all bytes──▶ Comma ──','──▶ Body ──all bytes──▶ Ended
///
/// A broken rule leads to `Failed` from any state.
#[derive(Debug)]
enum State {
    Length { value: usize, digits: usize },
    Headers { left: usize, block: Vec<u8> },
    Comma { block: Vec<u8> },
    Body { left: u64 },
    Ended,
    Failed(Error),
}

impl Decoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Length { value: 0, digits: 0 } }
    }

    /// Looks at the front of `input` and says how many bytes were consumed and
    /// what they meant. Call it again with the rest, even an empty rest, until
    /// it answers [`Outcome::NeedMore`]; then all is consumed.
    ///
    /// # Errors
    /// [`Error`] when the peer broke a rule. Every later call fails the same way.
    pub fn decode<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Outcome<'i>), Error> {
        let mut rest = input;
        match self.next_event(&mut rest) {
            Ok(event) => {
                Ok((input.len() - rest.len(), event.map_or(Outcome::NeedMore, Outcome::Event)))
            }
            Err(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// How many of the next input bytes are sure to be body. A driver may receive
    /// so many, or fewer, straight to where it gathers the body, and say so with
    /// [`Decoder::received_body`].
    #[must_use]
    pub const fn expected_body(&self) -> u64 {
        match self.state {
            State::Body { left } => left,
            _ => 0,
        }
    }

    /// The next `count` input bytes, at most what [`Decoder::expected_body`]
    /// said, were received by the driver: they are not input any more, and no
    /// [`Event::Body`] comes for them.
    pub fn received_body(&mut self, count: u64) {
        if let State::Body { left } = &mut self.state {
            *left = left.saturating_sub(count);
        }
    }

    /// Whether no byte has been seen: an end of file here is a clean one.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Length { digits: 0, .. })
    }

    fn next_event<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Event<'i>>, Error> {
        loop {
            match &mut self.state {
                State::Length { value, digits } => {
                    let Some(byte) = take_byte(input) else { return Ok(None) };
                    if byte == b':' {
                        if *digits == 0 {
                            return Err(Error::LengthMissing);
                        }
                        self.state = State::Headers { left: *value, block: Vec::new() };
                        continue;
                    }
                    if !byte.is_ascii_digit() {
                        return Err(Error::LengthDigit { got: byte });
                    }
                    if *digits > 0 && *value == 0 {
                        return Err(Error::LengthLeadingZero);
                    }
                    let limit = self.limits.max_headers;
                    *value = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(usize::from(byte - b'0')))
                        .filter(|&value| value <= limit)
                        .ok_or(Error::TooLarge { limit })?;
                    *digits += 1;
                }
                State::Headers { left: 0, block } => {
                    self.state = State::Comma { block: std::mem::take(block) };
                }
                State::Headers { left, block } => {
                    let part = take(input, *left);
                    if part.is_empty() {
                        return Ok(None);
                    }
                    block.extend_from_slice(part);
                    *left -= part.len();
                }
                State::Comma { block } => {
                    let Some(byte) = take_byte(input) else { return Ok(None) };
                    if byte != b',' {
                        return Err(Error::Comma { got: byte });
                    }
                    let (params, content_length) = headers::decode(std::mem::take(block))?;
                    self.state = State::Body { left: content_length };
                    return Ok(Some(Event::Params { params, content_length }));
                }
                State::Body { left: 0 } => {
                    self.state = State::Ended;
                    return Ok(Some(Event::End));
                }
                State::Body { left } => {
                    let bytes = take(input, usize::try_from(*left).unwrap_or(usize::MAX));
                    if bytes.is_empty() {
                        return Ok(None);
                    }
                    *left -= bytes.len() as u64;
                    return Ok(Some(Event::Body { bytes }));
                }
                State::Ended => {
                    *input = &[];
                    return Ok(None);
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

/// Cuts at most `most` bytes off the front.
fn take<'i>(input: &mut &'i [u8], most: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at_checked(most).unwrap_or((input, &[]));
    *input = rest;
    taken
}
