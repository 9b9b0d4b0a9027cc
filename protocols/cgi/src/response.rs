//! The head of a CGI response (RFC 3875, section 6), for the side that reads it.

use memchr::memchr;

use crate::Params;

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The head of a response: everything before the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// From `Status`; without it 302 if there is a `Location`, else 200.
    pub status: u16,
    /// The words after the number in `Status`. Often empty.
    pub reason: Vec<u8>,
    /// The other fields, in the order sent, names as sent.
    pub headers: Params,
}

/// A head that is none. The web server would answer 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// No end of the head in its first 64 KiB.
    #[error("the response head is longer than 65536 bytes")]
    TooLong,
    /// A line without a colon, or with nothing before it.
    #[error("line {line} of the response head is not `Name: value` (RFC 3875, section 6.3)")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A `Status` that does not begin with three digits, 100 to 999.
    #[error("the Status field is not a number of three digits (RFC 3875, section 6.3.3)")]
    Status,
    /// No field at all.
    #[error("the response head has no field (RFC 3875, section 6.2)")]
    Empty,
}

impl ResponseHead {
    /// Reads a head off the front of `input`: the head and where the body
    /// begins, or `None` when more bytes are needed. Lines end with LF or CRLF.
    /// Call it again with all the bytes so far.
    ///
    /// # Errors
    /// [`HeadError`] when it cannot become a head, whatever follows.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut head = Self { status: 0, reason: Vec::new(), headers: Params::new() };
        let mut rest = input;
        for number in 1.. {
            let Some((line, after)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at))
            else {
                return if input.len() > MAX_HEAD { Err(HeadError::TooLong) } else { Ok(None) };
            };
            rest = after.strip_prefix(b"\n").unwrap_or_default();
            let body_at = input.len() - rest.len();
            if body_at > MAX_HEAD {
                return Err(HeadError::TooLong);
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                head.finish(number > 1)?;
                return Ok(Some((head, body_at)));
            }
            head.field(line).ok_or(HeadError::Line { line: number })??;
        }
        Ok(None)
    }

    /// One line; `None` if it is no field.
    fn field(&mut self, line: &[u8]) -> Option<Result<(), HeadError>> {
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        let name_ends_well = name.last().is_some_and(|byte| !byte.is_ascii_whitespace());
        let value = value.get(1..).filter(|_| name_ends_well)?.trim_ascii();
        if !name.eq_ignore_ascii_case(b"Status") {
            self.headers.push(name, value);
            return Some(Ok(()));
        }
        let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] = value else {
            return Some(Err(HeadError::Status));
        };
        if !matches!(reason.first(), None | Some(b' ')) {
            return Some(Err(HeadError::Status));
        }
        self.status = [a, b, c].into_iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
        self.reason = reason.trim_ascii().to_vec();
        Some(Ok(()))
    }

    fn finish(&mut self, any_field: bool) -> Result<(), HeadError> {
        if !any_field {
            return Err(HeadError::Empty);
        }
        if self.status == 0 {
            let mut names = self.headers.iter().map(|(name, _)| name);
            let redirect = names.any(|name| name.eq_ignore_ascii_case(b"Location"));
            self.status = if redirect { 302 } else { 200 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        let whole = ResponseHead::parse(text.as_bytes());
        if let Ok(Some((_, body_at))) = whole {
            for end in 0..body_at {
                let part = &text.as_bytes()[..end];
                assert_eq!(ResponseHead::parse(part), Ok(None), "{end} bytes of {text:?}");
            }
        }
        whole
    }

    #[test]
    fn reads_status_reason_and_headers() {
        for end in ["\n", "\r\n"] {
            let text = ["Status: 404 Not Found", "Content-Type:text/plain", "X:  a b ", "", "body"]
                .join(end);
            let (head, body_at) = head(&text).unwrap().unwrap();
            assert_eq!((head.status, &head.reason[..]), (404, &b"Not Found"[..]));
            let headers: Vec<_> = head.headers.iter().collect();
            assert_eq!(
                headers,
                [(&b"Content-Type"[..], &b"text/plain"[..]), (&b"X"[..], &b"a b"[..])]
            );
            assert_eq!(&text[body_at..], "body");
        }
    }

    #[test]
    fn status_has_defaults() {
        let status = |text| head(text).unwrap().unwrap().0.status;
        assert_eq!(status("Content-Type: a/b\n\n"), 200);
        assert_eq!(status("location: /x\r\n\r\n"), 302);
        assert_eq!(status("Location: /x\nSTATUS: 201\n\n"), 201);
        assert_eq!(status("Status: 200\n\nStatus: 500\n\n"), 200);
    }

    #[test]
    fn each_rule_has_its_error() {
        assert_eq!(head("\r\n"), Err(HeadError::Empty));
        assert_eq!(head("A: b\nnothing\n\n"), Err(HeadError::Line { line: 2 }));
        assert_eq!(head(": b\n\n"), Err(HeadError::Line { line: 1 }));
        assert_eq!(head("A : b\n\n"), Err(HeadError::Line { line: 1 }));
        assert_eq!(head("HTTP/1.1 200 OK\n\n"), Err(HeadError::Line { line: 1 }));
        for status in ["", "20", "2000", "OK", "099", "200OK"] {
            assert_eq!(head(&format!("Status: {status}\n\n")), Err(HeadError::Status), "{status}");
        }
        let long = format!("A: {}", "x".repeat(MAX_HEAD));
        assert_eq!(head(&long), Err(HeadError::TooLong));
        assert_eq!(head(&format!("{long}\n\n")), Err(HeadError::TooLong));
    }
}
