//! More than flupd will take: full queues, and peers that stall.

use std::fs;
use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::Serve;
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::{app, wait};

/// One request runs, two wait; every further one is refused at once.
#[test]
fn full_queue() {
    let serve = Serve::app(&app("waiting.py"));
    let serve = serve.args(["--workers", "1", "--threads", "1", "--queue", "2"]);
    let site = &Front::NginxFastcgi.serve_with(serve);
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let target = &format!("/hold?started={}&gate={}", started.display(), gate.display());

    thread::scope(|scope| {
        let running = scope.spawn(|| site.get(target));
        // Opened on any way out, so that a failing test ends too.
        let gate = Opened(&gate);
        wait::until_exists(&started);

        let (tell, told) = mpsc::channel();
        for _ in 0..10 {
            let tell = tell.clone();
            scope.spawn(move || tell.send(site.get(target)).unwrap());
        }
        // The gate is still closed, so what comes back now was refused.
        for _ in 0..8 {
            let answer = told.recv_timeout(wait::DEADLINE).unwrap();
            assert_eq!(answer.status, 503);
            let seconds: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
            assert!(seconds > 0);
        }
        drop(gate);
        for _ in 0..2 {
            assert_eq!(told.recv_timeout(wait::DEADLINE).unwrap().status, 200, "waited its turn");
        }
        assert_eq!(running.join().unwrap().status, 200);
    });
    assert_eq!(site.get("/pid").status, 200, "and all is well again");
}

/// Creates its file when dropped.
struct Opened<'a>(&'a std::path::Path);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let _ = fs::write(self.0, "");
    }
}

/// Peers that connect and say nothing, or stop in the middle of a record, of the
/// params or of the body, hold up nobody.
#[test]
fn stalled_connections() {
    let flupd = Serve::app(&app("wrong.py")).on_fastcgi();
    let whole = fcgi::request(1, 0, "POST", "/hello", &[b'x'; 100]);
    let mut stalled = Vec::new();
    for n in 0..100 {
        let mut stream = flupd.connect();
        stream.write_all(&whole[..n * (whole.len() - 1) / 99]).unwrap();
        stalled.push(stream);
    }
    let start = Instant::now();
    for _ in 0..20 {
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    // One that goes on after all is answered as if nothing had been.
    let mut last = stalled.pop().unwrap();
    last.write_all(&whole[whole.len() - 1..]).unwrap();
    assert_eq!(Answer::read(&mut last, 1).unwrap().body(), "hello\n");
}

/// A client that does not read its answer holds up nobody either.
#[test]
fn client_that_does_not_read() {
    let flupd = Serve::app(&app("answers.py")).on_fastcgi();
    let mut lazy = flupd.connect();
    lazy.write_all(&fcgi::request(1, 0, "GET", "/download?size=104857600", b"")).unwrap();
    for _ in 0..20 {
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
    }
}

/// A slow upload holds no thread: with one thread, others are served meanwhile.
#[test]
fn slow_uploads_hold_no_thread() {
    let serve = Serve::app(&app("echo.py")).args(["--threads", "1"]);
    let site = Front::NginxUnbuffered.serve_with(serve);
    let request = Request::new("POST", "/").header("Content-Length", "300000");
    let mut slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = request.start(site.web.address()).unwrap();
            stream.write_all(&[b'x'; 200_000]).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(site.get("/").status, 200);
    }
    for stream in &mut slow {
        stream.write_all(&[b'x'; 100_000]).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(stream, &mut answer).unwrap();
        assert!(answer.contains("\"body_length\": 300000"), "{answer}");
    }
}
