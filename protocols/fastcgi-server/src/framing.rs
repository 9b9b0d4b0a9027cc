//! Where records begin and end, whatever they carry. Both directions use it.

use crate::Error;
use crate::record::{HEADER_LEN, Header};

/// Cuts the byte stream into records without holding any content.
#[derive(Debug)]
pub(crate) struct Framing {
    position: Position,
}

///   Header ──8 bytes──▶ Content ──contentLength──▶ Padding ──paddingLength──▶ Header
///
/// A part of length 0 is passed over at once, so that `Header` with nothing
/// seen is the only form of "at a record boundary".
#[derive(Debug)]
enum Position {
    Header(Eight),
    Content { left: u16, padding: u8 },
    Padding { left: u8 },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'i> {
    /// A record begins.
    Header(Header),
    /// Some of its content, never empty; `last` when no more follows.
    Content { bytes: &'i [u8], last: bool },
}

impl Framing {
    pub(crate) const fn new() -> Self {
        Self { position: Position::of(0, 0) }
    }

    /// The next piece, cut off the front of `input`. `None`: all of it is consumed.
    #[inline]
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Piece<'i>>, Error> {
        loop {
            match &mut self.position {
                Position::Header(eight) => {
                    let Some(bytes) = eight.fill(input) else { return Ok(None) };
                    let header = Header::parse(bytes)?;
                    self.position = Position::of(header.content, header.padding);
                    return Ok(Some(Piece::Header(header)));
                }
                Position::Content { left, padding } => {
                    let bytes = take(input, usize::from(*left));
                    if bytes.is_empty() {
                        return Ok(None);
                    }
                    let left = *left - bytes.len() as u16;
                    self.position = Position::of(left, *padding);
                    return Ok(Some(Piece::Content { bytes, last: left == 0 }));
                }
                Position::Padding { left } => {
                    let skipped = take(input, usize::from(*left));
                    if skipped.is_empty() {
                        return Ok(None);
                    }
                    self.position = Position::of(0, *left - skipped.len() as u8);
                }
            }
        }
    }

    /// How many bytes of the current record's content are still to come.
    pub(crate) const fn expected(&self) -> usize {
        match self.position {
            Position::Content { left, .. } => left as usize,
            Position::Header(_) | Position::Padding { .. } => 0,
        }
    }

    /// The next `count` bytes of content went elsewhere; no more than expected.
    pub(crate) fn passed(&mut self, count: usize) {
        if let Position::Content { left, padding } = self.position {
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.position = Position::of(left.saturating_sub(count), padding);
        }
    }

    /// Whether the next byte would be the first of a record.
    pub(crate) const fn at_boundary(&self) -> bool {
        matches!(self.position, Position::Header(Eight { have: 0, .. }))
    }
}

impl Position {
    const fn of(content: u16, padding: u8) -> Self {
        match (content, padding) {
            (0, 0) => Self::Header(Eight::new()),
            (0, left) => Self::Padding { left },
            (left, padding) => Self::Content { left, padding },
        }
    }
}

/// Gathers eight bytes that may come in parts: a header, or a fixed body.
#[derive(Debug)]
pub(crate) struct Eight {
    bytes: [u8; HEADER_LEN],
    have: usize,
}

impl Eight {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; HEADER_LEN], have: 0 }
    }

    /// Takes what is missing off the front of `input`; the bytes once all are there.
    #[inline]
    pub(crate) fn fill(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_LEN]> {
        if self.have == 0
            && let Some((bytes, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(*bytes);
        }
        let missing = self.bytes.get_mut(self.have..)?;
        let part = take(input, missing.len());
        missing.get_mut(..part.len())?.copy_from_slice(part);
        self.have += part.len();
        (self.have == HEADER_LEN).then_some(self.bytes)
    }
}

/// Cuts at most `most` bytes off the front.
#[inline]
fn take<'i>(input: &mut &'i [u8], most: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at_checked(most).unwrap_or((input, &[]));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_padding_and_finds_the_boundary() {
        let mut framing = Framing::new();
        let mut input = &b"\x01\x05\0\x01\0\x03\x02\0abc..\x01\x05"[..];
        let header = Header { kind: 5, id: 1, content: 3, padding: 2 };
        assert_eq!(framing.next(&mut input), Ok(Some(Piece::Header(header))));
        let piece = Piece::Content { bytes: b"abc", last: true };
        assert_eq!(framing.next(&mut input), Ok(Some(piece)));
        assert!(!framing.at_boundary(), "the padding has not been read");
        assert_eq!(framing.next(&mut input), Ok(None));
        assert!(input.is_empty() && !framing.at_boundary());
        let mut rest = &b"\0\x01\0\0\0\0"[..];
        assert!(matches!(framing.next(&mut rest), Ok(Some(Piece::Header(_)))));
        assert!(framing.at_boundary());
    }

    #[test]
    fn content_comes_as_it_arrives() {
        let mut framing = Framing::new();
        framing.next(&mut &b"\x01\x05\0\x01\0\x03\0\0"[..]).unwrap();
        assert_eq!(
            framing.next(&mut &b"a"[..]),
            Ok(Some(Piece::Content { bytes: b"a", last: false }))
        );
        assert_eq!(framing.next(&mut &b""[..]), Ok(None));
        assert_eq!(
            framing.next(&mut &b"bc"[..]),
            Ok(Some(Piece::Content { bytes: b"bc", last: true }))
        );
    }
}
