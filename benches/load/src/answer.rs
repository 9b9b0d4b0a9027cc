//! Finds the end of an answer, and whether it was a good one.

use anyhow::{Result, bail, ensure};
use fastcgi_server::client::{Decoder, Event, Outcome};

use crate::request::Protocol;

/// One answer, as it comes in.
#[derive(Debug)]
pub enum Answer {
    Fastcgi { decoder: Decoder, start: Vec<u8> },
    Scgi { start: Vec<u8> },
    Http(Http),
}

#[derive(Debug)]
pub enum Http {
    Head(Vec<u8>),
    Body { left: usize },
}

impl Answer {
    /// Nothing has come yet.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Fastcgi => Self::Fastcgi { decoder: Decoder::new(), start: Vec::new() },
            Protocol::Scgi => Self::Scgi { start: Vec::new() },
            Protocol::Http => Self::Http(Http::Head(Vec::new())),
        }
    }

    /// Takes the next bytes; `true` when the answer is complete.
    ///
    /// # Errors
    /// When the answer is not a 2xx, or none at all.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Scgi { start } => {
                keep_start(start, bytes);
                Ok(false)
            }
            Self::Http(http) => http.take(bytes),
            Self::Fastcgi { decoder, start } => loop {
                let (consumed, outcome) = decoder.decode(bytes)?;
                match outcome {
                    Outcome::NeedMore => return Ok(false),
                    Outcome::Event(Event::Stdout { bytes, .. }) => keep_start(start, bytes),
                    Outcome::Event(Event::End { .. }) => {
                        good(start)?;
                        return Ok(true);
                    }
                    Outcome::Event(_) => {}
                }
                bytes = &bytes[consumed..];
            },
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// When the answer was not complete by then, or not a 2xx.
    pub fn end(&self) -> Result<()> {
        match self {
            Self::Scgi { start } => good(start),
            _ => bail!("the connection ended amid an answer"),
        }
    }
}

/// Long enough to tell the status.
const START: usize = 16;

fn keep_start(start: &mut Vec<u8>, bytes: &[u8]) {
    let room = START - start.len();
    start.extend_from_slice(&bytes[..room.min(bytes.len())]);
}

fn good(start: &[u8]) -> Result<()> {
    let text = start.escape_ascii();
    ensure!(start.starts_with(b"Status: 2"), "the answer begins with {text}");
    Ok(())
}

impl Http {
    fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return Ok(false);
                };
                let body = head.len() - (end + 4);
                let length = content_length(&head[..end])?;
                ensure!(body <= length, "more body than the answer's Content-Length");
                *self = Self::Body { left: length - body };
                Ok(length == body)
            }
            Self::Body { left } => {
                ensure!(bytes.len() <= *left, "more body than the answer's Content-Length");
                *left -= bytes.len();
                Ok(*left == 0)
            }
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    ensure!(status.starts_with("HTTP/1.1 2"), "the answer begins with {status}");
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
    });
    match length {
        Some(Ok(length)) => Ok(length),
        _ => bail!("the answer has no Content-Length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use fastcgi_server::{ProtocolStatus, encode};

    /// What the answer says after each single byte.
    fn byte_by_byte(protocol: Protocol, bytes: &[u8]) -> Result<Vec<bool>> {
        let mut answer = Answer::new(protocol);
        bytes.iter().map(|byte| answer.take(&[*byte])).collect()
    }

    fn ends_at_its_last_byte(protocol: Protocol, bytes: &[u8]) -> bool {
        let mut steps = byte_by_byte(protocol, bytes).unwrap();
        steps.pop() == Some(true) && !steps.contains(&true)
    }

    #[test]
    fn http_ends_with_its_content_length() {
        let answer = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 6\r\n\r\nhello\n";
        assert!(ends_at_its_last_byte(Protocol::Http, answer));
        assert!(byte_by_byte(Protocol::Http, b"HTTP/1.1 502 Bad Gateway\r\n\r\n").is_err());
        assert!(byte_by_byte(Protocol::Http, b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn fastcgi_ends_with_end_request() {
        for (status, good) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let mut out = BytesMut::new();
            encode::stdout(&mut out, 1, format!("Status: {status}\r\n\r\n").as_bytes());
            encode::end_request(&mut out, 1, 0, ProtocolStatus::RequestComplete);
            assert_eq!(byte_by_byte(Protocol::Fastcgi, &out).is_ok(), good);
            assert!(!good || ends_at_its_last_byte(Protocol::Fastcgi, &out));
        }
    }

    #[test]
    fn scgi_ends_with_the_connection() {
        let mut answer = Answer::new(Protocol::Scgi);
        assert!(!answer.take(b"Status: 200 OK\r\n\r\nhello").unwrap());
        assert!(answer.end().is_ok());
        assert!(Answer::new(Protocol::Scgi).end().is_err());
        assert!(Answer::new(Protocol::Fastcgi).end().is_err());
    }
}
