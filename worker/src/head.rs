//! The response head: what `start_response` was given, checked, as CGI lines.

use std::fmt;

/// Headers that belong to one hop (RFC 9110 section 7.6.1); PEP 3333 forbids
/// them to apps. The web server speaks for the connection.
const HOP_BY_HOP: [&str; 8] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "TE",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
];

/// Few heads are longer, in bytes.
const USUAL: usize = 512;

/// A checked status and its headers.
#[derive(Debug)]
pub(crate) struct Head {
    code: u16,
    /// `Status: ...` and all headers but Content-Length, each with its CRLF.
    lines: Vec<u8>,
    /// How much of that is the status.
    status: usize,
    redirects: bool,
    length: Option<u64>,
}

/// What became of a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It goes out.
    Kept,
    /// It isn't the app's to send: its name, spelt as usual.
    Dropped(&'static str),
}

/// A rule that the app's status or headers break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    Status(String),
    Name(String),
    Value { name: String, byte: u8 },
    Length(String),
    SecondLength,
}

impl Head {
    /// Begins a head with a status such as `200 OK`.
    pub(crate) fn new(status: &[u8]) -> Result<Self, HeadError> {
        let wrong = || HeadError::Status(text(status));
        let (digits, reason) = status.split_first_chunk::<3>().ok_or_else(wrong)?;
        if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
            return Err(wrong());
        }
        // "200" alone is let pass; the standard wants "200 " at least.
        if !matches!(reason, [] | [b' ', ..]) || reason.iter().any(|&b| is_control(b)) {
            return Err(wrong());
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let mut lines = Vec::with_capacity(USUAL);
        for part in [b"Status: ", status, b"\r\n"] {
            lines.extend_from_slice(part);
        }
        let status = lines.len();
        Ok(Self { code, lines, status, redirects: false, length: None })
    }

    /// Adds a header.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<Taken, HeadError> {
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(HeadError::Name(text(name)));
        }
        if let Some(&byte) = value.iter().find(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(HeadError::Value { name: text(name), byte });
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("Status") {
            return Ok(Taken::Dropped("Status"));
        }
        if let Some(name) = HOP_BY_HOP.iter().find(|known| is(known)) {
            return Ok(Taken::Dropped(name));
        }
        if is("Content-Length") {
            let length = decimal(value).ok_or_else(|| HeadError::Length(text(value)))?;
            return match self.length.replace(length) {
                None => Ok(Taken::Kept),
                Some(_) => Err(HeadError::SecondLength),
            };
        }
        self.redirects |= is("Location");
        for part in [name, b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        Ok(Taken::Kept)
    }

    /// How many bytes it will take, but for a Content-Length and its end.
    pub(crate) const fn size(&self) -> usize {
        self.lines.len()
    }

    /// The Content-Length that the app gave.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Forgets the Content-Length that the app gave.
    pub(crate) const fn drop_length(&mut self) {
        self.length = None;
    }

    /// Whether the status is 200.
    pub(crate) const fn is_ok(&self) -> bool {
        self.code == 200
    }

    /// Whether this status has no body (RFC 9110 section 6.4.1).
    pub(crate) const fn without_body(&self) -> bool {
        matches!(self.code, 100..=199 | 204 | 304)
    }

    /// The bytes to send, blank line included. `length` is what to say when the
    /// app gave none.
    pub(crate) fn into_bytes(self, length: Option<u64>) -> Vec<u8> {
        // RFC 9110 section 8.6: not with 1xx and 204; 304 may tell the length
        // that a 200 would have.
        let length = match self.code {
            100..=199 | 204 => None,
            304 => self.length,
            _ => self.length.or(length),
        };
        let mut bytes = self.lines;
        if self.redirects {
            // HAProxy makes a 302 of a Location with no Status behind it.
            bytes.rotate_left(self.status);
        }
        if let Some(length) = length {
            bytes.extend_from_slice(b"Content-Length: ");
            push_decimal(&mut bytes, length);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        at -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Digits only: no sign, no blanks, no list.
fn decimal(value: &[u8]) -> Option<u64> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn text(latin1: &[u8]) -> String {
    latin1.iter().copied().map(char::from).collect()
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => {
                write!(f, "the status {status:?} is not of the form \"200 OK\"")
            }
            Self::Name(name) => {
                write!(f, "{name:?} is not a header name: it must be an RFC 9110 token")
            }
            Self::Value { name, byte } => {
                let byte = char::from(*byte);
                write!(f, "the value of the header {name:?} contains {byte:?}")
            }
            Self::Length(value) => write!(f, "Content-Length is {value:?}, which is not a number"),
            Self::SecondLength => f.write_str("Content-Length is given twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(status: &str, headers: &[(&str, &str)], length: Option<u64>) -> String {
        let mut head = Head::new(status.as_bytes()).unwrap();
        for (name, value) in headers {
            head.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        String::from_utf8(head.into_bytes(length)).unwrap()
    }

    #[test]
    fn becomes_cgi_lines() {
        let head = sent("200 OK", &[("Content-Type", "text/html"), ("X-A", "")], Some(5));
        let lines = "Status: 200 OK\r\nContent-Type: text/html\r\nX-A: \r\n";
        assert_eq!(head, format!("{lines}Content-Length: 5\r\n\r\n"));
    }

    #[test]
    fn content_length_follows_the_status() {
        let own = [("content-length", "7")];
        for (status, headers, known, expected) in [
            ("200 OK", &own[..], Some(5), Some(7)),
            ("200 OK", &[][..], Some(5), Some(5)),
            ("200 OK", &[][..], None, None),
            ("204 No Content", &own[..], Some(5), None),
            ("304 Not Modified", &own[..], Some(5), Some(7)),
            ("304 Not Modified", &[][..], Some(5), None),
            ("103 Early Hints", &own[..], Some(5), None),
        ] {
            let head = sent(status, headers, known);
            let line = expected.map_or(String::new(), |n| format!("Content-Length: {n}\r\n"));
            assert_eq!(head, format!("Status: {status}\r\n{line}\r\n"));
        }
    }

    #[test]
    fn a_status_follows_its_location() {
        let head = sent("301 Moved", &[("location", "/there"), ("X-A", "b")], Some(0));
        assert_eq!(
            head,
            "location: /there\r\nX-A: b\r\nStatus: 301 Moved\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn status_is_checked() {
        for good in ["200 OK", "100 Continue", "999 ", "404", "200 Tout \u{e9}"] {
            assert!(Head::new(good.as_bytes()).is_ok(), "{good:?}");
        }
        for bad in ["", "20", "2000", "099 Low", "20x Odd", "200OK", "200 O\rK", "200 \n", "-20 A"]
        {
            assert_eq!(Head::new(bad.as_bytes()).unwrap_err(), HeadError::Status(bad.into()));
        }
    }

    #[test]
    fn names_and_values_are_checked() {
        let push = |name: &str, value: &str| {
            Head::new(b"200 OK").unwrap().push(name.as_bytes(), value.as_bytes())
        };
        for name in ["X-A", "x_a", "!#$%&'*+-.^_`|~09azAZ"] {
            assert_eq!(push(name, "v"), Ok(Taken::Kept), "{name}");
        }
        for name in ["", "X A", "X:A", "X\r", "X(", "\u{e9}", "X\0", "a,b", "\"a\"", "a/b"] {
            let shown = text(name.as_bytes());
            assert_eq!(push(name, "v"), Err(HeadError::Name(shown)));
        }
        for (value, byte) in [("a\r\nX: b", b'\r'), ("a\n", b'\n'), ("\0", 0)] {
            assert_eq!(push("X", value), Err(HeadError::Value { name: "X".into(), byte }));
        }
        for value in ["", "-1", "+1", " 1", "1, 1", "0x1", "99999999999999999999"] {
            assert_eq!(push("Content-Length", value), Err(HeadError::Length(value.into())));
        }
    }

    #[test]
    fn some_headers_are_not_the_apps() {
        let mut head = Head::new(b"200 OK").unwrap();
        assert_eq!(head.push(b"status", b"500"), Ok(Taken::Dropped("Status")));
        assert_eq!(head.push(b"CONNECTION", b"close"), Ok(Taken::Dropped("Connection")));
        assert_eq!(head.push(b"te", b"x"), Ok(Taken::Dropped("TE")));
        assert_eq!(head.push(b"Content-Length", b"1"), Ok(Taken::Kept));
        assert_eq!(head.push(b"Content-Length", b"1"), Err(HeadError::SecondLength));
        assert_eq!(head.into_bytes(None), b"Status: 200 OK\r\nContent-Length: 1\r\n\r\n");
    }
}
