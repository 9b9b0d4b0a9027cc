//! More than flupd will take: full queues, and peers that stall.

use std::fs;
use std::io::{Read, Write};
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
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"body_length\": 300000"), "{answer}");
    }
}

/// The params of a request stand still in the middle: the connection is given up.
#[test]
fn read_timeout() {
    let flupd = Serve::app(&app("wrong.py")).args(["--read-timeout", "1"]).on_fastcgi();
    let whole = fcgi::request(1, fcgi::KEEP_CONN, "POST", "/hello", &[b'x'; 100]);
    for sent in [0, 5, 30, whole.len() - 8] {
        let mut stream = flupd.connect();
        stream.write_all(&whole[..sent]).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap_or_else(|e| panic!("not closed after {sent}: {e}"));
        assert!(!String::from_utf8_lossy(&back).contains("hello"), "half a request was run");
    }
}

#[test]
fn keep_timeout() {
    let flupd = Serve::app(&app("wrong.py")).args(["--keep-timeout", "1"]).on_fastcgi();
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
    assert!(fcgi::next(&mut stream).unwrap().is_none(), "closed, and nothing said");
}

/// A peer that takes nothing of its answer: the app is told by close(), and its
/// thread is free again.
#[test]
fn write_timeout() {
    let flupd = Serve::app(&app("waiting.py")).args(["--write-timeout", "1"]).on_fastcgi();
    let closed = flupd.file("closed");
    let mut stream = flupd.connect();
    let target = format!("/endless?closed={}", closed.display());
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until_exists(&closed);
}

#[test]
fn max_body() {
    let serve = || Serve::app(&app("echo.py")).args(["--max-body", "100K"]);
    for front in [Front::NginxFastcgi, Front::NginxUnbuffered, Front::NginxScgi] {
        let site = front.serve_with(serve());
        let told = site.send(&Request::post("/", vec![b'x'; 100 * 1024])).json();
        assert_eq!(told["body_length"], 100 * 1024, "{front:?}");
        for request in [
            Request::post("/", vec![b'x'; 100 * 1024 + 1]),
            Request::post("/", vec![b'x'; 3 << 20]),
            Request::new("POST", "/").chunked(vec![vec![b'x'; 60_000]; 4]),
        ] {
            assert_eq!(site.send(&request).status, 413, "{front:?}");
        }
        assert_eq!(site.get("/").status, 200);
    }
}

#[test]
fn max_params() {
    let flupd = Serve::app(&app("echo.py")).args(["--max-params", "2M"]).on_fastcgi();
    for (size, is_taken) in [(1_900_000, true), (2_200_000, false)] {
        let mut params = fcgi::request_params("GET", "/", 0);
        params.push(("HTTP_X_LARGE".to_owned(), "h".repeat(size)));
        let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
        bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
        bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
        let mut stream = flupd.connect();
        // flupd may close before it has everything.
        let _ = stream.write_all(&bytes);
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert_eq!(answer.text().starts_with("Status: 200"), is_taken, "{size}");
    }
}

/// Nobody overtakes: what waited behind one long request was put before what had waited
/// longer behind another, and so some waited three times as long as others.
#[test]
fn who_waits_is_served_in_order() {
    let serve = Serve::app(&app("waiting.py"));
    let flupd = serve.args(["--workers", "1", "--threads", "2"]).on_fastcgi();
    let (gate, file) = (flupd.file("gate"), flupd.file("order"));
    let mut stream = flupd.connect();
    let mut ask = |id: u16, target: &str| {
        stream.write_all(&fcgi::request(id, fcgi::KEEP_CONN, "GET", target, b"")).unwrap();
    };
    for id in [1, 2] {
        let started = flupd.file(&format!("started-{id}"));
        ask(id, &format!("/hold?started={}&gate={}", started.display(), gate.display()));
        wait::until_exists(&started);
    }
    let last = 24;
    for n in 3..=last {
        ask(n, &format!("/order?file={}&n={n}", file.display()));
    }
    // The gateway has read them all.
    wait::until("they wait", || {
        let told = flupd.order(&["status", "--json"]).stdout;
        let waiting = format!("\"waiting\": {}", last - 2);
        String::from_utf8_lossy(&told).contains(&waiting)
    });
    fs::write(&gate, "").unwrap();
    let order = || fs::read_to_string(&file).unwrap_or_default();
    wait::until("all have had their turn", || order().lines().count() == usize::from(last - 2));
    for (at, n) in order().lines().enumerate() {
        let n: usize = n.parse().unwrap();
        // Two run at the same time.
        assert!((at + 3).abs_diff(n) <= 2, "{}", order());
    }
}
