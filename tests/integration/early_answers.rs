//! flupd refuses a request while its body still comes, record by record: on a
//! connection that stays, the end of the answer waits for the end of the body.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::fcgi::{self, Answer, KEEP_CONN, Record};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(args: &[&str]) -> Flupd {
    Serve::app(&app("echo.py")).args(["--max-body", "1000"]).args(args).on_fastcgi()
}

/// The request up to the first part of a body that is too long.
fn begin(stream: &mut UnixStream, id: u16, flags: u8) {
    let params = fcgi::pairs(&fcgi::request_params("POST", "/", 5000));
    stream.write_all(&fcgi::begin(id, fcgi::RESPONDER, flags)).unwrap();
    stream.write_all(&fcgi::stream(fcgi::PARAMS, id, &params, 65535)).unwrap();
    stream.write_all(&fcgi::record(fcgi::STDIN, id, &[b'x'; 2000])).unwrap();
}

fn end(stream: &mut UnixStream, id: u16) {
    stream.write_all(&fcgi::stream(fcgi::STDIN, id, &[b'x'; 3000], 65535)).unwrap();
}

/// Reads STDOUT until the whole refusal is there.
fn refusal(stream: &mut UnixStream, id: u16) {
    let mut text = Vec::new();
    while !text.ends_with(b"413 Content Too Large\n") {
        let Record { kind, id: of, content } = fcgi::next(stream).unwrap().unwrap();
        assert_eq!((kind, of), (fcgi::STDOUT, id));
        text.extend(content);
    }
}

/// Nothing comes for a while.
fn expect_silence(stream: &mut UnixStream) {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
}

#[test]
fn the_end_waits_for_the_end_of_the_body() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    for id in [1, 7] {
        begin(&mut stream, id, KEEP_CONN);
        refusal(&mut stream, id);
        expect_silence(&mut stream);
        end(&mut stream, id);
        assert_eq!(Answer::read(&mut stream, id).unwrap().end, Some((0, 0)));
    }
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().text().starts_with("Status: 200"));
}

#[test]
fn others_on_the_connection_go_on() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, KEEP_CONN);
    refusal(&mut stream, 1);
    stream.write_all(&fcgi::request(3, KEEP_CONN, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 3).unwrap().text().starts_with("Status: 200"));
    end(&mut stream, 1);
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
}

#[test]
fn a_connection_that_ends_is_not_waited_for() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, 0);
    refusal(&mut stream, 1);
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
}

#[test]
fn an_abort_ends_it() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, KEEP_CONN);
    refusal(&mut stream, 1);
    stream.write_all(&fcgi::record(fcgi::ABORT_REQUEST, 1, &[])).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().text().starts_with("Status: 200"));
}

#[test]
fn silence_ends_it_and_the_connection() {
    let flupd = serve(&["--read-timeout", "0.3"]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, KEEP_CONN);
    refusal(&mut stream, 1);
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_half_closed_connection_is_answered_whole() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, KEEP_CONN);
    refusal(&mut stream, 1);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
}

/// The stop of flupd waits for no upload that nobody wants.
#[test]
fn a_stop_does_not_wait() {
    let mut flupd = serve(&[]);
    let mut stream = flupd.connect();
    begin(&mut stream, 1, KEEP_CONN);
    refusal(&mut stream, 1);
    flupd.signal(rustix::process::Signal::TERM);
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
    fcgi::expect_end(stream);
    assert_eq!(flupd.wait().code(), Some(0));
}

/// A Filter's request is whole with its file.
#[test]
fn a_filters_end_is_that_of_its_file() {
    let flupd = serve(&["--role", "filter"]);
    let mut stream = flupd.connect();
    let mut params = fcgi::request_params("POST", "/", 5000);
    params.push(("FCGI_DATA_LENGTH".to_owned(), "3".to_owned()));
    stream.write_all(&fcgi::begin(1, 3, KEEP_CONN)).unwrap();
    stream.write_all(&fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535)).unwrap();
    refusal(&mut stream, 1);
    stream.write_all(&fcgi::stream(fcgi::STDIN, 1, &[b'x'; 5000], 65535)).unwrap();
    expect_silence(&mut stream);
    stream.write_all(&fcgi::stream(8, 1, b"abc", 65535)).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end, Some((0, 0)));
}
