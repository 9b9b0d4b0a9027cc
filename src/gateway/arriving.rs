//! One stream of a request while it arrives, held to what was promised of it.

use std::io;

use cgi::Params;
use flupd_channel::gateway::{Body, Shelf};

use super::refusal::Refusal;
use super::spool::{Extra, Spool};
use super::stream::Stream;

/// A body, or the file that a Filter works on.
#[derive(Debug)]
pub(super) struct Arriving {
    /// The param that says how long it is.
    name: &'static str,
    /// What that promised; `None` where it is absent or empty and the end of the
    /// stream decides.
    promised: Option<u64>,
    limit: u64,
    spool: Spool,
}

impl Arriving {
    /// Nothing has arrived yet. `name` is the param that says its length.
    ///
    /// # Errors
    /// A [`Refusal`] when that is no number or over `limit`, in bytes.
    pub(super) fn new(
        params: &Params,
        name: &'static str,
        limit: u64,
        shelf: &Shelf,
    ) -> Result<Self, Refusal> {
        // Of repeated params the last one counts, here as in the environ.
        let promised = match params.last(name.as_bytes()) {
            // Caddy says -1 for a chunked upload, nginx the empty string.
            None | Some(b"" | b"-1") => None,
            Some(digits) => Some(number(digits).ok_or_else(|| {
                Refusal::bad_request(format!("{name} is {:?}", String::from_utf8_lossy(digits)))
            })?),
        };
        Self::of(name, promised, limit, shelf)
    }

    /// Nothing, whatever the params say: no such stream comes.
    ///
    /// # Errors
    /// A [`Refusal`] when there is no memory.
    pub(super) fn none(shelf: &Shelf) -> Result<Self, Refusal> {
        Self::of("CONTENT_LENGTH", Some(0), 0, shelf)
    }

    fn of(
        name: &'static str,
        promised: Option<u64>,
        limit: u64,
        shelf: &Shelf,
    ) -> Result<Self, Refusal> {
        if promised.is_some_and(|length| length > limit) {
            return Err(Refusal::body_too_large(limit));
        }
        let spool = Spool::new(shelf, promised).map_err(|error| Refusal::spool_failed(&error))?;
        Ok(Self { name, promised, limit, spool })
    }

    /// How long it will be, if that was said.
    pub(super) const fn promised(&self) -> Option<u64> {
        self.promised
    }

    /// How long it is so far.
    pub(super) const fn length(&self) -> u64 {
        self.spool.length()
    }

    /// Takes a part.
    ///
    /// # Errors
    /// A [`Refusal`] when there is more than was promised or allowed.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let length = self.spool.length().saturating_add(bytes.len() as u64);
        if self.promised.is_some_and(|promised| length > promised) {
            return Err(self.broken("longer"));
        }
        if length > self.limit {
            return Err(Refusal::body_too_large(self.limit));
        }
        self.spool.push(bytes).map_err(|error| Refusal::spool_failed(&error))
    }

    /// Receives at most `most` bytes straight to where they belong; see
    /// [`Spool::receive`].
    ///
    /// # Errors
    /// What the socket reports.
    pub(super) fn receive(
        &mut self,
        stream: &Stream,
        most: usize,
        extra: &mut Extra,
    ) -> io::Result<Option<(usize, usize)>> {
        // What is not promised goes the ordinary way, where it is refused.
        let promised = self.promised.unwrap_or(u64::MAX).min(self.limit);
        if self.spool.length().saturating_add(most as u64) > promised {
            return Ok(None);
        }
        self.spool.receive(stream, most, extra)
    }

    /// Brings what exceeds the memory bound to disk, off this thread.
    ///
    /// # Errors
    /// A [`Refusal`] when the disk does not take it.
    pub(super) async fn spill(&mut self) -> Result<(), Refusal> {
        self.spool.spill().await.map_err(|error| Refusal::spool_failed(&error))
    }

    /// It has ended: brings to disk what has to go there, before [`Arriving::finish`].
    ///
    /// # Errors
    /// A [`Refusal`] when it is shorter than promised, or the disk does not take
    /// it.
    pub(super) async fn flush(&mut self) -> Result<(), Refusal> {
        if self.promised.is_some_and(|promised| self.spool.length() < promised) {
            return Err(self.broken("shorter"));
        }
        self.spool.flush().await.map_err(|error| Refusal::spool_failed(&error))
    }

    /// The whole of it.
    ///
    /// # Errors
    /// A [`Refusal`] when it was not brought to disk.
    pub(super) fn finish(self) -> Result<Body, Refusal> {
        self.spool.finish().map_err(|error| Refusal::spool_failed(&error))
    }

    fn broken(&self, how: &str) -> Refusal {
        let what = if self.name == "CONTENT_LENGTH" { "the body" } else { "the file" };
        Refusal::bad_request(format!("{what} is {how} than {}", self.name))
    }
}

/// A decimal number without sign or blanks.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
