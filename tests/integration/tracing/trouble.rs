//! Collectors that are dead, slow, or refuse: no request waits for them.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::collector::Collector;
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::http::Request;
use crate::harness::{app, ports, wait};

fn serve(url: &str) -> (Flupd, u16) {
    serve_with(url, &[])
}

fn serve_with(url: &str, mode: &[&str]) -> (Flupd, u16) {
    let status = ports::free();
    let address = format!("127.0.0.1:{status}");
    let serve = Serve::app(&app("answers.py")).args(["--otlp", url, "--status", &address]);
    (serve.args(mode).on_fastcgi(), status)
}

/// So many requests on one connection.
fn ask(flupd: &Flupd, count: usize) {
    let mut stream = flupd.connect();
    let request = fcgi::request(1, fcgi::KEEP_CONN, "GET", "/hello", b"");
    for _ in 0..count {
        stream.write_all(&request).unwrap();
        assert!(Answer::read(&mut stream, 1).unwrap().text().starts_with("Status: "));
    }
}

fn metric(status: u16, name: &str) -> u64 {
    let text = Request::get("/metrics").send(([127, 0, 0, 1], status).into()).unwrap().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

const REFUSED: &str = "flupd_spans_dropped_total{reason=\"collector\"}";
const TOO_MANY: &str = "flupd_spans_dropped_total{reason=\"queue_full\"}";

/// It says that it will never take them: they are not kept.
#[test]
fn what_is_refused_is_dropped_and_counted() {
    let collector = Collector::start("refuses 400");
    let (flupd, status) = serve(&collector.url());
    ask(&flupd, 20);
    wait::until("they are dropped", || metric(status, REFUSED) == 20);
    flupd.wait_for_log("spans can't be exported");
    assert!(flupd.log().contains("it answers 400"), "{}", flupd.log());
    assert_eq!(metric(status, "flupd_spans_exported_total"), 0);
    ask(&flupd, 20);
    wait::until("more are dropped", || metric(status, REFUSED) == 40);
    // Seldom.
    assert_eq!(flupd.log().matches("spans can't be exported").count(), 1, "{}", flupd.log());
}

/// It says that it is busy: they are sent again.
#[test]
fn who_is_busy_is_asked_again() {
    for mode in [&["--threads", "1"][..], &["--solo"]] {
        let collector = Collector::start("busy 2");
        let (flupd, status) = serve_with(&collector.url(), mode);
        ask(&flupd, 3);
        assert_eq!(collector.wait_for(3).len(), 3);
        flupd.wait_for_log("spans are exported again");
        let exported = || metric(status, "flupd_spans_exported_total");
        wait::until("they are counted", || exported() == 3);
        assert_eq!(metric(status, REFUSED), 0, "{mode:?}");
    }
}

/// Nobody is there, and then somebody is.
#[test]
fn a_collector_may_come_later() {
    let port = ports::free();
    let (flupd, status) = serve(&format!("http://127.0.0.1:{port}"));
    ask(&flupd, 5);
    flupd.wait_for_log("spans can't be exported");
    let collector = Collector::start_at(port, "takes");
    assert_eq!(collector.wait_for(5).len(), 5);
    wait::until("they are counted", || metric(status, "flupd_spans_exported_total") == 5);
}

/// It takes all, but not as fast as they come: what has no room is dropped, and the log
/// says so.
#[test]
fn a_collector_that_is_slow_gets_what_it_can_take() {
    let collector = Collector::start("slow 5");
    let (flupd, status) = serve(&collector.url());
    wait::until("some are dropped", || {
        ask(&flupd, 500);
        metric(status, TOO_MANY) > 0
    });
    flupd.wait_for_log("spans were dropped: the collector takes them too slowly");
    wait::until("it has what it could take", || collector.spans().len() >= 512);
    assert_eq!(metric(status, REFUSED), 0, "{}", flupd.log());
}

/// It takes the message and never answers: requests go on, what has no room is dropped,
/// and flupd ends in its time.
#[test]
fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Collector::start("hangs");
    let (mut flupd, status) = serve(&collector.url());
    // As many as can wait, and two batches.
    ask(&flupd, 4096 + 2 * 512 + 100);
    wait::until("some are dropped", || metric(status, TOO_MANY) > 0);
    let begun = Instant::now();
    flupd.signal(Signal::TERM);
    assert!(flupd.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(flupd.log().contains("the last spans were lost"), "{}", flupd.log());
}

/// The spans of the last requests are sent before flupd ends, in each mode.
#[test]
fn the_last_spans_are_sent_at_a_stop() {
    let collector = Collector::start("takes");
    for (number, mode) in [&["--threads", "1"][..], &["--solo"]].into_iter().enumerate() {
        let serve = Serve::app(&app("answers.py")).args(["--otlp", &collector.url()]).args(mode);
        let mut flupd = serve.on_fastcgi();
        ask(&flupd, 3);
        flupd.signal(Signal::TERM);
        assert!(flupd.wait().success());
        // flupd has gone: what has not been sent never comes.
        assert_eq!(collector.wait_for(3 * (number + 1)).len(), 3 * (number + 1), "{mode:?}");
    }
}
