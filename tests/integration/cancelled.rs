//! Requests that are given up: what of them still reaches the app, and how it
//! hears of it. Record by record, on flupd's own socket.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::harness::fcgi::{self, Answer, KEEP_CONN};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(args: &[&str]) -> Flupd {
    Serve::app(&app("cancelled.py")).args(args).on_fastcgi()
}

/// A request for `path`, and the files by which the app tells where it is.
fn request(flupd: &Flupd, id: u16, path: &str) -> (Vec<u8>, [PathBuf; 4]) {
    let names = ["started", "told", "untold", "closed"];
    let files = names.map(|name| flupd.file(&format!("{name}-{id}")));
    let query: Vec<_> =
        names.iter().zip(&files).map(|(name, file)| format!("{name}={}", file.display())).collect();
    (fcgi::request(id, KEEP_CONN, "GET", &format!("{path}?{}", query.join("&")), b""), files)
}

fn abort(id: u16) -> Vec<u8> {
    fcgi::record(fcgi::ABORT_REQUEST, id, &[])
}

/// With one thread the app runs on the main thread, with more beside it.
const MODES: [&[&str]; 3] = [&["--threads", "1"], &["--threads", "3"], &["--preload"]];

#[test]
fn abort_calls_back() {
    for args in MODES {
        let flupd = serve(args);
        let mut stream = flupd.connect();
        let (bytes, [started, told, untold, closed]) = request(&flupd, 1, "/callback");
        stream.write_all(&bytes).unwrap();
        wait::until_exists(&started);
        stream.write_all(&abort(1)).unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert_eq!((answer.end, answer.stdout), (Some((0, 0)), Vec::new()), "section 5.4");
        wait::until_exists(&told);
        wait::until_exists(&closed);
        assert!(!untold.exists());
        // Nothing of the old answer comes, and its id is free.
        stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/ready", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "ready\n");
        assert!(!flupd.log().contains("Traceback"), "{}", flupd.log());
    }
}

#[test]
fn hanging_up_calls_back() {
    for args in MODES {
        let flupd = serve(args);
        let mut stream = flupd.connect();
        let (bytes, [started, told, untold, closed]) = request(&flupd, 1, "/callback");
        stream.write_all(&bytes).unwrap();
        wait::until_exists(&started);
        drop(stream);
        wait::until_exists(&told);
        wait::until_exists(&closed);
        assert!(!untold.exists());
    }
}

/// Of two requests that share a connection, the abort of one is not heard by the
/// other.
#[test]
fn abort_concerns_one_request() {
    let flupd = serve(&["--threads", "3"]);
    let mut stream = flupd.connect();
    let (first, [first_started, first_told, ..]) = request(&flupd, 1, "/callback");
    let (second, [second_started, second_told, ..]) = request(&flupd, 2, "/callback");
    stream.write_all(&[first, second].concat()).unwrap();
    wait::until_exists(&first_started);
    wait::until_exists(&second_started);
    stream.write_all(&abort(2)).unwrap();
    assert!(Answer::read(&mut stream, 2).unwrap().end.is_some());
    wait::until_exists(&second_told);
    assert!(!first_told.exists());
    drop(stream);
    wait::until_exists(&first_told);
}

/// Requests that wait, in the queue or staged behind a running one, and are given
/// up: the app never sees them.
#[test]
fn abort_takes_back_what_waits() {
    let flupd = serve(&["--threads", "1"]);
    let (gate, mut stream) = (flupd.file("gate"), flupd.connect());
    let mark = |id: u16| flupd.file(&format!("mark-{id}"));
    let ids: Vec<u16> = (1..=20).collect();
    for &id in &ids {
        let target = format!("/counts?mark={}&gate={}", mark(id).display(), gate.display());
        stream.write_all(&fcgi::request(id, KEEP_CONN, "GET", &target, b"")).unwrap();
    }
    wait::until_exists(&mark(1));
    for &id in &ids[1..19] {
        stream.write_all(&abort(id)).unwrap();
        let answer = Answer::read(&mut stream, id).unwrap();
        assert_eq!((answer.end, answer.stdout), (Some((0, 0)), Vec::new()));
    }
    fs::write(gate, "").unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "counted\n");
    assert_eq!(Answer::read(&mut stream, 20).unwrap().body(), "counted\n");
    let seen: Vec<_> = ids.into_iter().filter(|&id| mark(id).exists()).collect();
    assert_eq!(seen, [1, 20]);
}

/// In solo mode nobody reads while the app works, but it may ask.
#[test]
fn solo_sees_a_connection_that_hangs_up() {
    let flupd = serve(&["--solo"]);
    let mut stream = flupd.connect();
    let (bytes, [started, told, _, closed]) = request(&flupd, 1, "/asking");
    stream.write_all(&bytes).unwrap();
    wait::until_exists(&started);
    drop(stream);
    wait::until_exists(&told);
    wait::until_exists(&closed);
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/ready", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "ready\n");
}
