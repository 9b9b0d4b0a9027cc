//! The client against servers that answer from a script.

use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use clap::Parser;
use fastcgi_server::encode;

use super::*;
use crate::cli::{Cli, Command};

/// A server that reads what one client sends up to a mark, answers and closes.
fn server(
    mark: &'static [u8],
    answer: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        while !got.ends_with(mark) {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            got.extend(byte);
        }
        answer(&mut client);
        got
    });
    (address, thread)
}

/// The end of STDIN of request 1.
const STDIN_END: &[u8] = &[1, 5, 0, 1, 0, 0, 0, 0];

fn ask(words: &[&str]) -> (Result<(), Failure>, String) {
    let words = ["flupd", "request"].iter().chain(words);
    let Command::Request(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
    let mut out = Vec::new();
    let result = exchange(&args, &mut out);
    (result, String::from_utf8(out).unwrap())
}

fn exit_status(result: Result<(), Failure>) -> u8 {
    result.map_or_else(|failure| failure.exit_status(), |()| 0)
}

/// What a FastCGI server answers with.
fn fastcgi_answer(stdout: &'static [u8], end: Option<ProtocolStatus>) -> BytesMut {
    let mut out = BytesMut::new();
    encode::stdout(&mut out, ID, stdout);
    if let Some(status) = end {
        encode::end_request(&mut out, ID, 0, status);
    }
    out
}

#[test]
fn fastcgi_answers_have_their_exit_status() {
    const DONE: Option<ProtocolStatus> = Some(ProtocolStatus::RequestComplete);
    let table: [(&[u8], Option<ProtocolStatus>, u8, &str); 6] = [
        (b"Status: 200 OK\r\n\r\nhello", DONE, 0, "hello"),
        (b"Status: 500\r\n\r\nno", DONE, 22, "no"),
        (b"Status: 200\r\n\r\nhel", None, 18, "hel"),
        (b"Content-Length: 9\r\n\r\nhello", DONE, 18, "hello"),
        (b"hello\n", DONE, 1, ""),
        (b"", Some(ProtocolStatus::Overloaded), 1, ""),
    ];
    for (stdout, end, status, body) in table {
        let (address, thread) = server(STDIN_END, move |client| {
            client.write_all(&fastcgi_answer(stdout, end)).unwrap()
        });
        let (result, out) = ask(&[&address, "/"]);
        assert_eq!(out, body);
        assert_eq!(exit_status(result), status, "{}", String::from_utf8_lossy(stdout));
        thread.join().unwrap();
    }
}

/// Each answer, followed by what is no record.
#[test]
fn an_answer_that_has_begun_and_breaks_off_is_cut() {
    let table: [(&[u8], u8, u8, &str); 4] = [
        (b"Status: 200\r\n\r\nhel", 0, 18, "the answer was cut: the server gave it up"),
        (b"Status: 200\r\n\r\nhel", b'H', 18, "the answer was cut: record version is 72"),
        (b"Status: 200\r\n", 0, 1, "the answer breaks the protocol: record version is 0"),
        (b"", b'H', 1, "the answer breaks the protocol: record version is 72"),
    ];
    for (stdout, filler, status, message) in table {
        let (address, thread) = server(STDIN_END, move |client| {
            let mut answer = fastcgi_answer(stdout, None);
            answer.extend_from_slice(&[filler; 8]);
            client.write_all(&answer).unwrap();
        });
        let failure = ask(&[&address, "/"]).0.unwrap_err();
        assert!(failure.to_string().starts_with(message), "{failure}");
        assert_eq!(failure.exit_status(), status, "{failure}");
        thread.join().unwrap();
    }
}

#[test]
fn scgi_sends_the_netstring_and_the_body() {
    let (address, thread) =
        server(b",a=1&b=2", |client| client.write_all(b"Status: 201\n\nmade").unwrap());
    let (result, out) = ask(&[&address, "/x", "--scgi", "-i", "-d", "a=1", "-d", "b=2"]);
    assert_eq!((out.as_str(), exit_status(result)), ("HTTP/1.1 201\r\n\r\nmade", 0));
    let got = String::from_utf8(thread.join().unwrap()).unwrap();
    assert!(got.contains(":CONTENT_LENGTH\x007\x00SCGI\x001\x00"), "{got:?}");
    assert!(got.contains("\0REQUEST_METHOD\0POST\0"), "{got:?}");
}

#[test]
fn an_answer_before_the_whole_body_was_read_is_taken() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("body");
    std::fs::write(&file, vec![b'x'; 8 << 20]).unwrap();
    let (address, thread) = server(b"1", |client| {
        client.write_all(b"Status: 413\n\ntoo long").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = io::copy(client, &mut io::sink());
    });
    let (result, out) = ask(&[&address, "/", "--scgi", "-d", &format!("@{}", file.display())]);
    assert_eq!((out.as_str(), exit_status(result)), ("too long", 22));
    thread.join().unwrap();
}

#[test]
fn nobody_there_and_nobody_answering_are_told_apart() {
    let (address, thread) = server(STDIN_END, |client| {
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
    });
    let (result, _) = ask(&[&address, "/", "--timeout", "0.2"]);
    assert_eq!(exit_status(result), 28);
    thread.join().unwrap();
    assert_eq!(exit_status(ask(&["unix:/no/such.sock", "/"]).0), 7);
    for usage in [["fd:0", "/"], ["nowhere", "/"], ["/a.sock", "path"]] {
        assert_eq!(exit_status(ask(&usage).0), 2);
    }
    assert_eq!(exit_status(ask(&["/a.sock", "/", "-d", "@/no/such"]).0), 26);
}
