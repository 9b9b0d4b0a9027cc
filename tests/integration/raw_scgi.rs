//! SCGI byte by byte, on flupd's own socket.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;

use crate::harness::app;
use crate::harness::fcgi::request_params;
use crate::harness::flupd::{Flupd, Serve};

fn serve(name: &str) -> Flupd {
    Serve::app(&app(name)).on_scgi()
}

/// Headers as a netstring, then the body.
fn request_of(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let block: String = headers.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
    let mut bytes = format!("{}:{block},", block.len()).into_bytes();
    bytes.extend(body);
    bytes
}

fn request(method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let params = request_params(method, target, body.len());
    let length = body.len().to_string();
    let mut headers = vec![("CONTENT_LENGTH", length.as_str()), ("SCGI", "1")];
    headers.extend(
        params.iter().filter(|(n, _)| n != "CONTENT_LENGTH").map(|(n, v)| (n.as_str(), v.as_str())),
    );
    request_of(&headers, body)
}

/// The whole answer to these bytes.
fn exchange(flupd: &Flupd, bytes: &[u8]) -> String {
    let mut stream = flupd.connect();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn answer_and_close() {
    let flupd = serve("answers.py");
    let answer = exchange(&flupd, &request("GET", "/hello", b""));
    assert!(answer.starts_with("Status: 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");
}

#[test]
fn one_byte_at_a_time() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    for byte in request("POST", "/repeat?token=t", b"body") {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("t|body"), "{answer}");
}

#[test]
fn half_close() {
    let flupd = serve("waiting.py");
    let gate = flupd.file("gate");
    let mut stream = flupd.connect();
    stream.write_all(&request("GET", &format!("/hold?gate={}", gate.display()), b"")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    fs::write(gate, "").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("held\n"), "{answer}");
}

/// Each breaks a rule of the SCGI specification, and gets a 400.
#[test]
fn bad_requests_get_400() {
    let flupd = serve("answers.py");
    let cases: [(&str, Vec<u8>); 9] = [
        ("no number", b"abc:CONTENT_LENGTH\x000\x00SCGI\x001\x00,".to_vec()),
        ("leading zero", b"024:CONTENT_LENGTH\x000\x00SCGI\x001\x00,".to_vec()),
        ("no comma", b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;".to_vec()),
        ("no CONTENT_LENGTH", request_of(&[("SCGI", "1"), ("REQUEST_METHOD", "GET")], b"")),
        ("not first", request_of(&[("SCGI", "1"), ("CONTENT_LENGTH", "0")], b"")),
        ("no SCGI", request_of(&[("CONTENT_LENGTH", "0"), ("REQUEST_METHOD", "GET")], b"")),
        ("SCGI=2", request_of(&[("CONTENT_LENGTH", "0"), ("SCGI", "2")], b"")),
        ("bad length", request_of(&[("CONTENT_LENGTH", "1x"), ("SCGI", "1")], b"")),
        (
            "a duplicate",
            request_of(&[("CONTENT_LENGTH", "0"), ("SCGI", "1"), ("A", "1"), ("A", "2")], b""),
        ),
    ];
    for (what, bytes) in cases {
        let answer = exchange(&flupd, &bytes);
        assert!(answer.starts_with("Status: 400"), "{what}: {answer:?}");
    }
    assert!(exchange(&flupd, &request("GET", "/hello", b"")).ends_with("hello\n"));
}

/// A netstring that claims more than the limit is refused before it is stored.
#[test]
fn too_long() {
    let flupd = serve("answers.py");
    let answer = exchange(&flupd, b"999999999:CONTENT_LENGTH\x00");
    assert!(
        ["400", "413", "431"].iter().any(|s| answer.starts_with(&format!("Status: {s}"))),
        "{answer:?}"
    );
    assert!(exchange(&flupd, &request("GET", "/hello", b"")).ends_with("hello\n"));
}

#[test]
fn connection_cut_anywhere() {
    let flupd = serve("answers.py");
    let whole = request("POST", "/repeat?token=t", b"body");
    for end in (0..whole.len()).step_by(5) {
        flupd.connect().write_all(&whole[..end]).unwrap();
    }
    assert!(exchange(&flupd, &request("GET", "/hello", b"")).ends_with("hello\n"));
}
