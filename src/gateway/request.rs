//! One request, from its first params to the whole that an app thread gets.

use std::io;

use cgi::Params;
use flupd_channel::gateway::{Body, Shelf};

use super::refusal::Refusal;
use super::routes::Mount;
use super::spool::{Extra, Spool};
use super::stream::Stream;
use crate::config::AppLimits;

/// A complete request.
#[derive(Debug)]
pub(super) struct Request {
    /// The app's environ, normalised.
    pub(super) params: Params,
    /// The whole body.
    pub(super) body: Body,
}

impl Request {
    /// `REQUEST_METHOD`, for the log.
    pub(super) fn method(&self) -> String {
        text(self.params.get(b"REQUEST_METHOD"))
    }

    /// `REQUEST_URI`, for the log.
    pub(super) fn uri(&self) -> String {
        text(self.params.get(b"REQUEST_URI").or_else(|| self.params.get(b"PATH_INFO")))
    }

    /// Whether doing it twice is the same as doing it once and changes nothing
    /// (RFC 9110 section 9.2), so that it may be given to a second worker.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.params.get(b"REQUEST_METHOD"), Some(b"GET" | b"HEAD" | b"OPTIONS"))
    }
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// A request whose body is still arriving.
#[derive(Debug)]
pub(super) struct Assembly {
    params: Params,
    /// What `CONTENT_LENGTH` promised; `None` where it is absent or empty and
    /// the end of the stream decides.
    promised: Option<u64>,
    body: Spool,
    limit: u64,
}

impl Assembly {
    /// Begins with the params.
    ///
    /// # Errors
    /// A [`Refusal`] when `CONTENT_LENGTH` is no number or over the limit.
    pub(super) fn new(params: Params, limits: &AppLimits, shelf: &Shelf) -> Result<Self, Refusal> {
        // Of repeated params the last one counts, here as in the environ.
        let promised = match params.last(b"CONTENT_LENGTH") {
            // Caddy says -1 for a chunked upload, nginx the empty string.
            None | Some(b"" | b"-1") => None,
            Some(digits) => Some(number(digits).ok_or_else(|| {
                Refusal::bad_request(format!("CONTENT_LENGTH is {:?}", text(Some(digits))))
            })?),
        };
        if promised.is_some_and(|length| length > limits.body) {
            return Err(Refusal::body_too_large(limits.body));
        }
        let body = Spool::new(shelf, promised).map_err(|error| Refusal::spool_failed(&error))?;
        Ok(Self { params, promised, body, limit: limits.body })
    }

    /// Whether the params said that there is no body. The request is whole then,
    /// also before the stream of its body has ended.
    pub(super) fn promises_nothing(&self) -> bool {
        self.promised == Some(0)
    }

    /// Takes a part of the body.
    ///
    /// # Errors
    /// A [`Refusal`] when there is more than was promised or allowed.
    pub(super) fn body(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let length = self.body.length().saturating_add(bytes.len() as u64);
        if self.promised.is_some_and(|promised| length > promised) {
            return Err(Refusal::bad_request("the body is longer than CONTENT_LENGTH".into()));
        }
        if length > self.limit {
            return Err(Refusal::body_too_large(self.limit));
        }
        self.body.push(bytes).map_err(|error| Refusal::spool_failed(&error))
    }

    /// Receives at most `most` bytes of body straight to where they belong; see
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
        if self.body.length().saturating_add(most as u64) > promised {
            return Ok(None);
        }
        self.body.receive(stream, most, extra)
    }

    /// Brings what exceeds the memory bound to disk, off this thread. To be
    /// called after each part; returns at once if there is nothing to do.
    ///
    /// # Errors
    /// A [`Refusal`] when the disk does not take it.
    pub(super) async fn spill(&mut self) -> Result<(), Refusal> {
        self.body.spill().await.map_err(|error| Refusal::spool_failed(&error))
    }

    /// The body has ended.
    ///
    /// # Errors
    /// A [`Refusal`] when the body is shorter than promised, the params can't
    /// make an environ, or the disk does not take the body.
    pub(super) async fn finish(self, mount: &Mount) -> Result<Request, Refusal> {
        let length = self.body.length();
        if self.promised.is_some_and(|promised| length < promised) {
            return Err(Refusal::bad_request("the body is shorter than CONTENT_LENGTH".into()));
        }
        let mut params =
            mount.environ(self.params).map_err(|error| Refusal::bad_request(error.to_string()))?;
        if self.promised.is_none() && length > 0 {
            // The whole body is here, so its length is known after all: apps
            // that read CONTENT_LENGTH bytes see chunked uploads too.
            params.push(b"CONTENT_LENGTH", length.to_string().as_bytes());
        }
        let body = self.body.finish().await.map_err(|error| Refusal::spool_failed(&error))?;
        Ok(Request { params, body })
    }
}

/// A decimal number without sign or blanks.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(content_length: &[u8]) -> Result<Assembly, Refusal> {
        let params: Params =
            [(&b"REQUEST_METHOD"[..], &b"POST"[..]), (b"CONTENT_LENGTH", content_length)]
                .into_iter()
                .collect();
        Assembly::new(params, &AppLimits { body: 10, ..AppLimits::default() }, &Shelf::new(10))
    }

    async fn whole(content_length: &[u8], body: &[u8]) -> Result<Request, Refusal> {
        let mut assembly = begin(content_length)?;
        assembly.body(body)?;
        assembly.finish(&Mount::Told).await
    }

    fn status(done: Result<Request, Refusal>) -> u16 {
        done.err().map_or(200, |refusal| refusal.status)
    }

    #[tokio::test]
    async fn the_body_must_match_its_promise() {
        assert_eq!(status(whole(b"3", b"abc").await), 200);
        assert_eq!(status(whole(b"3", b"ab").await), 400);
        assert_eq!(status(whole(b"3", b"abcd").await), 400);
        assert_eq!(status(whole(b"11", b"").await), 413);
        assert_eq!(status(whole(b"", b"12345678901").await), 413);
        for bad in [&b"+3"[..], b"3 ", b"0x3", b"-2", b"99999999999999999999"] {
            assert_eq!(status(whole(bad, b"abc").await), 400, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn of_two_lengths_the_last_counts() {
        let params: Params = [
            (&b"REQUEST_METHOD"[..], &b"POST"[..]),
            (b"CONTENT_LENGTH", b""),
            (b"CONTENT_LENGTH", b"3"),
        ]
        .into_iter()
        .collect();
        let mut assembly = Assembly::new(params, &AppLimits::default(), &Shelf::new(10)).unwrap();
        assembly.body(b"abc").unwrap();
        let request = assembly.finish(&Mount::Told).await.unwrap();
        let lengths = request.params.iter().filter(|(name, _)| *name == b"CONTENT_LENGTH");
        assert_eq!(lengths.map(|(_, value)| value).collect::<Vec<_>>(), [b"3"]);
    }

    #[tokio::test]
    async fn a_body_without_a_length_gets_its_true_one() {
        for unsaid in [&b""[..], b"-1"] {
            let request = whole(unsaid, b"abc").await.unwrap();
            assert_eq!(request.params.get(b"CONTENT_LENGTH"), Some(&b"3"[..]));
        }
        let request = whole(b"", b"").await.unwrap();
        assert_eq!(request.params.get(b"CONTENT_LENGTH"), None);
    }
}
