//! What the application sends: STDOUT, STDERR, `END_REQUEST`, management answers.
//!
//! Every function appends whole records. Padding follows three rules: content is
//! padded to 8 bytes, as section 3.3 recommends; STDERR is never sent without
//! padding, because HAProxy 2.6 dies on such a record when it arrives alone; and
//! the longest content is 65528 bytes, so that 65535 never meets padding
//! (HAProxy, CVE-2026-55203).

use bytes::{BufMut, BytesMut};

use crate::record::{HEADER_LEN, Header, NULL_REQUEST_ID};
use crate::{ProtocolStatus, RecordType};

/// The most content that is put in one record: the last multiple of 8 below 64 KiB.
pub const MAX_CONTENT: usize = 65528;

/// A part of the response. An empty part appends nothing: an empty record would
/// end the stream.
pub fn stdout(out: &mut BytesMut, id: u16, bytes: &[u8]) {
    stream(out, RecordType::Stdout, id, bytes, padding);
}

/// The header of one STDOUT record and the bytes of padding after its content,
/// for a driver that writes header, content and padding with one vectored write.
///
/// `len` is the content's length: 1 to [`MAX_CONTENT`]. A longer one gets no padding.
#[must_use]
pub const fn stdout_header(id: u16, len: u16) -> ([u8; 8], usize) {
    let padding = if len as usize > MAX_CONTENT { 0 } else { padding(len as usize) };
    (Header::bytes(RecordType::Stdout, id, len, padding), padding as usize)
}

/// Makes a response that stays incomplete fail: a header with the impossible
/// version 0. Then the driver closes the connection.
///
/// The protocol has no word for this. Where neither side knows the length, nginx
/// takes the mere end of a connection, and even an unfinished record, for the end
/// of the response; what it can't parse it reports, and cuts its own response.
pub fn cut(out: &mut BytesMut) {
    out.put_bytes(0, HEADER_LEN);
}

/// The same where other requests go on, on a connection that stays: `END_REQUEST`
/// without its body, which is to have eight bytes (section 5.5).
///
/// For a web server that multiplexes. HAProxy fails this one response; one that does
/// not multiplex is told by [`cut`].
pub fn cut_one(out: &mut BytesMut, id: u16) {
    out.put_slice(&Header::bytes(RecordType::EndRequest, id, 0, 0));
}

/// The end of the response.
pub fn stdout_end(out: &mut BytesMut, id: u16) {
    out.put_slice(&Header::bytes(RecordType::Stdout, id, 0, 0));
}

/// Error text for the web server's log. An empty text appends nothing.
pub fn stderr(out: &mut BytesMut, id: u16, text: &[u8]) {
    stream(out, RecordType::Stderr, id, text, |len| 8 - (len % 8) as u8);
}

/// The end of the error text. Owed only after a [`stderr`], and no web server misses it.
pub fn stderr_end(out: &mut BytesMut, id: u16) {
    record(out, RecordType::Stderr, id, &[], 8);
}

/// The end of the request: 16 bytes with nothing after them, for nginx keeps a
/// connection only if they end what it has read.
///
/// `app_status` is what `exit` would have returned; web servers ignore it.
pub fn end_request(out: &mut BytesMut, id: u16, app_status: u32, status: ProtocolStatus) {
    let [a, b, c, d] = app_status.to_be_bytes();
    record(out, RecordType::EndRequest, id, &[a, b, c, d, status as u8, 0, 0, 0], 0);
}

/// Section 4.1. `content` is encoded pairs, less than [`MAX_CONTENT`] bytes.
pub(crate) fn get_values_result(out: &mut BytesMut, content: &[u8]) {
    let kind = RecordType::GetValuesResult;
    record(out, kind, NULL_REQUEST_ID, content, padding(content.len()));
}

/// Section 4.2.
pub(crate) fn unknown_type(out: &mut BytesMut, number: u8) {
    let body = [number, 0, 0, 0, 0, 0, 0, 0];
    record(out, RecordType::UnknownType, NULL_REQUEST_ID, &body, 0);
}

/// Cuts a stream into records. Appends nothing for no bytes.
pub(crate) fn stream(
    out: &mut BytesMut,
    kind: RecordType,
    id: u16,
    bytes: &[u8],
    padding: impl Fn(usize) -> u8,
) {
    for content in bytes.chunks(MAX_CONTENT) {
        record(out, kind, id, content, padding(content.len()));
    }
}

/// One record; its content is at most [`MAX_CONTENT`] bytes.
pub(crate) fn record(out: &mut BytesMut, kind: RecordType, id: u16, content: &[u8], padding: u8) {
    debug_assert!(content.len() <= MAX_CONTENT);
    out.reserve(8 + content.len() + usize::from(padding));
    out.put_slice(&Header::bytes(kind, id, content.len() as u16, padding));
    out.put_slice(content);
    out.put_bytes(0, usize::from(padding));
}

/// What is missing to the next multiple of 8.
pub(crate) const fn padding(len: usize) -> u8 {
    (len.wrapping_neg() % 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Framing, Piece};

    /// `(content, padding)` of each record.
    fn lengths(mut bytes: &[u8]) -> Vec<(u16, u8)> {
        let mut framing = Framing::new();
        let mut found = Vec::new();
        while let Some(piece) = framing.next(&mut bytes).unwrap() {
            if let Piece::Header(header) = piece {
                found.push((header.content, header.padding));
            }
        }
        assert!(framing.at_boundary(), "whole records only");
        found
    }

    #[test]
    fn stdout_is_cut_and_padded() {
        let mut out = BytesMut::new();
        stdout(&mut out, 7, b"hello");
        assert_eq!(&out[..], b"\x01\x06\0\x07\0\x05\x03\0hello\0\0\0");
        assert_eq!(stdout_header(7, 5), ([1, 6, 0, 7, 0, 5, 3, 0], 3));

        out.clear();
        stdout(&mut out, 1, b"");
        assert!(out.is_empty());

        stdout(&mut out, 1, &vec![0; 2 * MAX_CONTENT + 1]);
        assert_eq!(lengths(&out), [(65528, 0), (65528, 0), (1, 7)]);
    }

    #[test]
    fn no_record_has_the_longest_content_and_padding() {
        assert_eq!(stdout_header(1, 65528), (Header::bytes(RecordType::Stdout, 1, 65528, 0), 0));
        assert_eq!(stdout_header(1, 65535), (Header::bytes(RecordType::Stdout, 1, 65535, 0), 0));
    }

    #[test]
    fn stderr_always_has_padding() {
        for len in [1, 7, 8, 9, 16, MAX_CONTENT, MAX_CONTENT + 8] {
            let mut out = BytesMut::new();
            stderr(&mut out, 1, &vec![b'e'; len]);
            stderr_end(&mut out, 1);
            assert!(lengths(&out).iter().all(|&(_, padding)| padding > 0), "length {len}");
        }
    }

    #[test]
    fn one_response_is_cut_by_an_end_without_a_body() {
        let mut out = BytesMut::new();
        cut_one(&mut out, 0x102);
        assert_eq!(&out[..], b"\x01\x03\x01\x02\0\0\0\0");
    }

    #[test]
    fn the_last_record_is_end_request_without_padding() {
        let mut out = BytesMut::new();
        stdout_end(&mut out, 0x102);
        end_request(&mut out, 0x102, 0x0304_0506, ProtocolStatus::Overloaded);
        assert_eq!(
            &out[..],
            b"\x01\x06\x01\x02\0\0\0\0\x01\x03\x01\x02\0\x08\0\0\x03\x04\x05\x06\x02\0\0\0"
        );
    }
}
