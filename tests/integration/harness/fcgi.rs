//! A FastCGI client of few lines, written from the specification and not from
//! our codec, so that the two cannot be wrong together. Section numbers are
//! those of the FastCGI Specification 1.0.

use std::io::{self, Read};

pub const BEGIN_REQUEST: u8 = 1;
pub const ABORT_REQUEST: u8 = 2;
pub const END_REQUEST: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
pub const STDOUT: u8 = 6;
pub const STDERR: u8 = 7;
pub const GET_VALUES: u8 = 9;
pub const GET_VALUES_RESULT: u8 = 10;
pub const UNKNOWN_TYPE: u8 = 11;

pub const RESPONDER: u16 = 1;
pub const KEEP_CONN: u8 = 1;

/// A record without padding (section 3.3). Content is at most 65535 bytes.
pub fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut bytes = vec![1, kind];
    bytes.extend(id.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(content);
    bytes
}

/// BEGIN_REQUEST (section 5.1).
pub fn begin(id: u16, role: u16, flags: u8) -> Vec<u8> {
    let [high, low] = role.to_be_bytes();
    record(BEGIN_REQUEST, id, &[high, low, flags, 0, 0, 0, 0, 0])
}

/// Name-value pairs (section 3.4).
pub fn pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        for length in [name.as_ref().len(), value.as_ref().len()] {
            let length = u32::try_from(length).unwrap();
            match u8::try_from(length) {
                Ok(short) if short < 128 => bytes.push(short),
                _ => bytes.extend((length | 1 << 31).to_be_bytes()),
            }
        }
        bytes.extend(name.as_ref());
        bytes.extend(value.as_ref());
    }
    bytes
}

/// A stream of this kind: records of at most `size` bytes, then the empty one.
pub fn stream(kind: u8, id: u16, content: &[u8], size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = content.chunks(size).flat_map(|part| record(kind, id, part)).collect();
    bytes.extend(record(kind, id, &[]));
    bytes
}

/// The params that a web server would send for this request.
pub fn request_params(method: &str, target: &str, length: usize) -> Vec<(String, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    [
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", target),
        ("QUERY_STRING", query),
        ("CONTENT_LENGTH", &length.to_string()),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", "80"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "test/1.0"),
        ("REMOTE_ADDR", "127.0.0.1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A whole request for a responder.
pub fn request(id: u16, flags: u8, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = begin(id, RESPONDER, flags);
    let block = pairs(&request_params(method, target, body.len()));
    bytes.extend(stream(PARAMS, id, &block, 65535));
    bytes.extend(stream(STDIN, id, body, 65535));
    bytes
}

/// A record as it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub id: u16,
    pub content: Vec<u8>,
}

/// Waits until the other side has said that the connection ends, and closes it then,
/// as web servers do. flupd waits some seconds for who stays.
pub fn expect_end(mut stream: impl Read) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

/// Reads the next record; `None` at the connection's end.
///
/// # Errors
/// As the stream's; `InvalidData` for a wrong version; `UnexpectedEof` when the
/// connection ends inside a record.
pub fn next(stream: &mut impl Read) -> io::Result<Option<Record>> {
    let mut header = Vec::new();
    stream.by_ref().take(1).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    header.resize(8, 0);
    stream.read_exact(&mut header[1..])?;
    let [version, kind, id_high, id_low, high, low, padding, _] = header[..] else { panic!() };
    if version != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong version"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut content = vec![0; length + usize::from(padding)];
    stream.read_exact(&mut content)?;
    content.truncate(length);
    Ok(Some(Record { kind, id: u16::from_be_bytes([id_high, id_low]), content }))
}

/// What came back for one request.
#[derive(Debug, Default)]
pub struct Answer {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// appStatus and protocolStatus (section 5.5), or `None` for a cut answer.
    pub end: Option<(u32, u8)>,
}

impl Answer {
    /// Reads up to END_REQUEST or the connection's end. All records must be of
    /// this request.
    pub fn read(stream: &mut impl Read, id: u16) -> io::Result<Self> {
        let mut answer = Self::default();
        while answer.end.is_none() {
            let Some(record) = next(stream)? else { break };
            assert_eq!(record.id, id, "{record:?}");
            answer.take(record);
        }
        Ok(answer)
    }

    /// Adds a record of this request.
    pub fn take(&mut self, record: Record) {
        match record.kind {
            STDOUT => self.stdout.extend(record.content),
            STDERR => self.stderr.extend(record.content),
            END_REQUEST => {
                let status = record.content[..4].try_into().unwrap();
                self.end = Some((u32::from_be_bytes(status), record.content[4]));
            }
            other => panic!("a record of type {other} to a responder's request"),
        }
    }

    /// The CGI response as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What follows the head.
    pub fn body(&self) -> String {
        let text = self.text();
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        body.to_owned()
    }
}
