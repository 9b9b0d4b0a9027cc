//! What clients see of the answers that flupd gives by itself.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::harness::ability::Ability;
use crate::harness::app;
use crate::harness::flupd::Serve;
use crate::harness::front::{Front, Server, Site};
use crate::harness::http::{Request, Response};
use crate::harness::wait;

on_servers! {
    all: too_large_upload, unfinished_uploads, large_header;
    routed: full_queue;
}

fn site(front: Front) -> Site {
    front.serve_with(Serve::app(&app("echo.py")).args([
        "--max-body",
        "100K",
        "--read-timeout",
        "1",
    ]))
}

/// The answer is there long before the upload ends, and the client hears of it. H2O
/// ended, and HAProxy said nothing, when the answer's end came meanwhile.
fn too_large_upload(front: Front) {
    let site = site(front);
    for length in [40 << 20, 200 << 10] {
        let upload = Request::post("/", vec![b'x'; length]);
        let answer = upload.converse(site.web.address()).unwrap();
        assert_eq!((answer.status, &*answer.text()), (413, "413 Content Too Large\n"));
        let told = site.send(&Request::post("/", "few")).json();
        assert_eq!(told["body_length"], 3, "after an upload of {length}");
    }
    site.flupd.wait_for_log("the body exceeds 102400 bytes (--max-body)");
}

/// An upload of `length` bytes, of which so many come.
fn begin(site: &Site, length: u64, come: usize) -> TcpStream {
    let request = Request::new("POST", "/").header("Content-Length", &length.to_string());
    let mut stream = request.start(site.web.address()).unwrap();
    stream.write_all(&vec![b'x'; come]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    stream
}

/// Who gathers the upload first has the client wait: for its end, or for a time limit
/// of its own.
fn unfinished_uploads(front: Front) {
    let site = site(front);
    let too_large = begin(&site, 40_000_000, 300_000);
    let stopped = begin(&site, 50_000, 20_000);
    let patient = |stream: TcpStream, ability| {
        if front.can(ability) {
            stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        }
        Response::read(stream).map(|answer| answer.status).ok()
    };
    let (too_large, stopped) = thread::scope(|scope| {
        let too_large = scope.spawn(|| patient(too_large, Ability::EarlyRefusals));
        (too_large.join().unwrap(), patient(stopped, Ability::SlowUploads))
    });
    assert_eq!(too_large, front.can(Ability::EarlyRefusals).then_some(413));
    assert_eq!(stopped, front.can(Ability::SlowUploads).then_some(408));
    assert_eq!(site.get("/").status, 200);
}

/// Web servers take far less than the least of `--max-params`.
fn large_header(front: Front) {
    let site = site(front);
    let header = "h".repeat(200_000);
    let answer = Request::get("/").header("X-Large", &header).send(site.web.address()).unwrap();
    let status = match front.server() {
        Server::Lighttpd => 431,
        Server::Caddy | Server::H2o => 200,
        _ => 400,
    };
    assert_eq!(answer.status, status);
    assert!(!site.flupd.log().contains("request refused"), "{}", site.flupd.log());
}

/// One request runs, one waits, others are refused at once and told when to come again.
fn full_queue(front: Front) {
    let serve = Serve::app(&app("waiting.py")).args(["--threads", "1", "--queue", "1"]);
    let site = &front.serve_with(serve);
    let gate = &site.flupd.file("gate");
    let target = &format!("/hold?gate={}", gate.display());
    thread::scope(|scope| {
        // Up to eight that come at once may stand behind each other before it is known
        // that the first one takes long; none of those is refused any more.
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(move || site.get(target))).collect();
        wait::until("some are refused", || clients.iter().any(|client| client.is_finished()));
        fs::write(gate, "").unwrap();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        let (served, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        assert!(!served.is_empty() && !refused.is_empty());
        for answer in refused {
            assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
            assert_eq!(answer.text(), "503 Service Unavailable\n");
        }
    });
}
