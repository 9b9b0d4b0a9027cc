//! A CGI response on its way to standard output: the head is read and perhaps
//! shown, the body passed on as it comes.

use std::io::{self, Write};

use cgi::{HeadError, ResponseHead};

/// What has come of an answer.
#[derive(Debug)]
pub(super) struct Answer<W> {
    out: W,
    show_head: bool,
    bodyless: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Vec<u8>),
    Body { status: u16, announced: Option<u64>, passed: u64 },
}

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Whole, with this status.
    Whole(u16),
    /// Without a head.
    NoHead,
    /// With fewer bytes than its Content-Length says.
    Short {
        /// How many are missing.
        missing: u64,
    },
}

impl<W: Write> Answer<W> {
    /// An answer to a request with this method.
    pub(super) const fn new(out: W, show_head: bool, is_head_request: bool) -> Self {
        Self { out, show_head, bodyless: is_head_request, stage: Stage::Head(Vec::new()) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `InvalidData` with a [`HeadError`] inside for a head that is none;
    /// otherwise what writing gave.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Body { passed, .. } => {
                *passed += bytes.len() as u64;
                self.out.write_all(bytes)?;
            }
            Stage::Head(head) => {
                head.extend_from_slice(bytes);
                let invalid = |error: HeadError| io::Error::new(io::ErrorKind::InvalidData, error);
                let Some((parsed, body_at)) = ResponseHead::parse(head).map_err(invalid)? else {
                    return Ok(());
                };
                let body = head.get(body_at..).unwrap_or_default().to_vec();
                self.begin(&parsed)?;
                return self.take(&body);
            }
        }
        // What streams shall be seen as it comes.
        self.out.flush()
    }

    /// Whether the head is complete.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Body { .. })
    }

    /// The end of the bytes.
    pub(super) const fn end(&self) -> Ending {
        match self.stage {
            Stage::Head(_) => Ending::NoHead,
            Stage::Body { announced: Some(length), passed, .. }
                if passed < length && !self.bodyless =>
            {
                Ending::Short { missing: length - passed }
            }
            Stage::Body { status, .. } => Ending::Whole(status),
        }
    }

    fn begin(&mut self, head: &ResponseHead) -> io::Result<()> {
        if self.show_head {
            write!(self.out, "HTTP/1.1 {}", head.status)?;
            if !head.reason.is_empty() {
                self.out.write_all(b" ")?;
                self.out.write_all(&head.reason)?;
            }
            for (name, value) in &head.headers {
                self.out.write_all(b"\r\n")?;
                self.out.write_all(name)?;
                self.out.write_all(b": ")?;
                self.out.write_all(value)?;
            }
            self.out.write_all(b"\r\n\r\n")?;
        }
        let named = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"Content-Length");
        let length = head.headers.iter().find(named).map(|(_, value)| value);
        let announced = length.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        // RFC 9110, section 6.4.1: these have no body whatever they announce.
        self.bodyless |= matches!(head.status, 100..=199 | 204 | 304);
        self.stage = Stage::Body { status: head.status, announced, passed: 0 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written and how it ends, the same for every way to cut it.
    fn run(text: &str, show_head: bool, is_head: bool) -> (String, Ending) {
        let results = [1, 7, text.len()].map(|step| {
            let mut out = Vec::new();
            let mut answer = Answer::new(&mut out, show_head, is_head);
            for part in text.as_bytes().chunks(step) {
                answer.take(part).unwrap();
            }
            let ending = answer.end();
            (String::from_utf8(out).unwrap(), ending)
        });
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        let [first, ..] = results;
        first
    }

    #[test]
    fn the_body_alone_or_with_its_head() {
        let text = "Status: 404 Not Found\r\nX-A: b\r\n\r\nnone\n";
        assert_eq!(run(text, false, false), ("none\n".into(), Ending::Whole(404)));
        let shown = "HTTP/1.1 404 Not Found\r\nX-A: b\r\n\r\nnone\n";
        assert_eq!(run(text, true, false), (shown.into(), Ending::Whole(404)));
    }

    #[test]
    fn an_answer_that_is_too_short_is_seen() {
        let text = "Content-Length: 5\n\nabc";
        assert_eq!(run(text, false, false).1, Ending::Short { missing: 2 });
        assert_eq!(run(text, false, true).1, Ending::Whole(200));
        assert_eq!(run("Status: 304\nContent-Length: 5\n\n", false, false).1, Ending::Whole(304));
        assert_eq!(run("Content-Type: text/plain\n", false, false).1, Ending::NoHead);
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        let error = Answer::new(Vec::new(), false, false).take(b"hello\n\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
