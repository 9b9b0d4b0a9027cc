//! `flupd status` and `flupd trace`, when they are needed: every app thread is busy
//! or stuck.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::fcgi;
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::{app, wait};

/// What a command says of this flupd.
pub fn said(flupd: &Flupd, words: &[&str]) -> String {
    let mut command = flupd::command();
    command.args(words).arg("--control").arg(flupd.file("app.sock.control"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn told(flupd: &Flupd, words: &[&str]) -> Value {
    serde_json::from_str(&said(flupd, words)).unwrap()
}

/// A request for which nobody waits to the end.
fn ask(flupd: &Flupd, target: &str) -> UnixStream {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    stream
}

/// The line of the app where this case stays.
fn line(case: &str) -> usize {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    source.lines().position(|line| line.ends_with(&format!("# HERE {case}"))).unwrap() + 1
}

fn serve(threads: &str) -> Flupd {
    let flupd = Serve::app(&app("stuck.py")).args(["--threads", threads]).on_fastcgi();
    flupd.wait_for_log("ready");
    flupd
}

/// Whatever the app does: in Python, in a system call, in C that keeps the
/// interpreter; and others wait in the queue.
#[test]
fn a_trace_names_the_line_of_the_app() {
    for threads in ["1", "3"] {
        for case in ["in_loop", "in_sleep", "in_recv", "in_lock", "in_c"] {
            let flupd = serve(threads);
            let busy: usize = threads.parse().unwrap();
            // In front of the others: it would not let them begin.
            let stuck = if case == "in_c" { 1 } else { busy };
            let _stuck: Vec<_> = (0..stuck).map(|_| ask(&flupd, &format!("/{case}?x=1"))).collect();
            let wanted = format!("stuck.py\", line {}, in {case}", line(case));
            wait::until(&format!("the trace names {wanted} with {threads} threads"), || {
                said(&flupd, &["trace"]).matches(&wanted).count() == stuck
            });
            let text = said(&flupd, &["trace"]);
            assert!(text.contains(&format!("GET /{case}?x=1\n")), "{text}");
            assert!(text.contains("in the app, worker 1 (pid "), "{text}");

            let _waiting: Vec<_> = (0..busy + 2).map(|_| ask(&flupd, "/pid")).collect();
            wait::until("the status tells who waits", || {
                let told = told(&flupd, &["status", "--json"]);
                let app = &told["apps"][0];
                app["waiting"].as_u64() > Some(0) && app["workers"][0]["busy"] == busy
            });
            wait::until_prompt("the trace", || drop(said(&flupd, &["trace"])));
        }
    }
}

/// Whatever a request waits for: its own params, its body, an app thread, the app.
#[test]
fn every_request_is_listed_one_by_one() {
    let flupd = serve("1");
    let _running = ask(&flupd, "/in_sleep");
    wait::until("it runs", || {
        told(&flupd, &["status", "--json"])["requests"][0]["cpu_ms"].is_u64()
    });
    let _queued = ["/first", "/second"].map(|target| {
        let stream = ask(&flupd, target);
        wait::until("it waits", || said(&flupd, &["status"]).contains(target));
        stream
    });
    let mut uploading = flupd.connect();
    let upload = fcgi::request(1, 0, "POST", "/upload?x=1", &[b'x'; 3000]);
    uploading.write_all(&upload[..upload.len() - 1000]).unwrap();
    wait::until("a body arrives", || said(&flupd, &["status"]).contains("so far"));
    let mut silent = flupd.connect();
    silent.write_all(&fcgi::begin(1, fcgi::RESPONDER, 0)).unwrap();
    let all = || told(&flupd, &["status", "--json"]);
    wait::until("all are there", || all()["requests"].as_array().unwrap().len() == 5);

    let told = all();
    assert_eq!((&told["reading"], &told["more"]), (&2.into(), &0.into()));
    let request = |at: usize| &told["requests"][at];
    let phases: Vec<_> = (0..5).map(|at| request(at)["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["in the app", "queued", "queued", "reading", "reading"]);
    let urls: Vec<_> = (0..5).map(|at| request(at)["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["/in_sleep", "/first", "/second", "/upload?x=1", ""]);
    assert_eq!(request(3)["method"], "POST");
    let received = request(3)["received"].as_u64().unwrap();
    assert!((1000..3000).contains(&received), "{received}");
    for at in 0..5 {
        assert!(request(at)["age_ms"].is_u64(), "{told}");
        assert_eq!(request(at)["worker"].is_u64(), at == 0, "{told}");
    }
    let text = said(&flupd, &["trace"]);
    assert!(text.contains("GET /second\n  for ") && text.contains(" s, queued\n"), "{text}");
    assert!(text.contains("(its params are arriving)"), "{text}");

    // It has arrived: it waits with the others. And who goes away is gone.
    uploading.write_all(&upload[upload.len() - 1000..]).unwrap();
    drop(silent);
    wait::until("nothing arrives any more", || {
        let told = all();
        let phases = told["requests"].as_array().unwrap().iter().map(|one| one["phase"].as_str());
        told["reading"] == 0 && phases.filter(|phase| *phase == Some("queued")).count() == 3
    });
}

/// However many there are, the answer is one message.
#[test]
fn the_list_of_requests_is_bounded() {
    let flupd = serve("1");
    let _running = ask(&flupd, "/in_sleep");
    let long = "\u{7f}".repeat(2000);
    let _queued: Vec<_> = (0..150).map(|number| ask(&flupd, &format!("/{number}{long}"))).collect();
    wait::until("all wait", || {
        told(&flupd, &["status", "--json"])["apps"][0]["waiting"].as_u64() == Some(150)
    });
    for words in [&["status", "--json"][..], &["trace", "--json"]] {
        let told = told(&flupd, words);
        assert_eq!(told["requests"].as_array().unwrap().len(), 101);
        assert_eq!(told["more"], 50);
        let url = told["requests"][1]["url"].as_str().unwrap();
        assert!(url.len() <= 300 && url.ends_with('\u{7f}'), "{url:?}");
    }
    assert!(said(&flupd, &["status"]).ends_with("and 50 more, which are younger\n"));
}

/// Of this request, not of those that the thread has run before.
#[test]
fn a_request_is_told_with_its_cpu_time() {
    for threads in ["1", "3"] {
        let flupd = serve(threads);
        let gate = flupd.file("gate");
        let started = flupd.file("started");
        let burns = |seconds: &str| {
            let (started, gate) = (started.display(), gate.display());
            ask(&flupd, &format!("/burns?seconds={seconds}&started={started}&gate={gate}"))
        };
        // Each thread has used more than a second before.
        fs::write(&gate, "").unwrap();
        for _ in 0..threads.parse().unwrap() {
            fcgi::Answer::read(&mut burns("1.1"), 1).unwrap();
        }
        fs::remove_file(&gate).unwrap();
        fs::remove_file(&started).unwrap();
        let _waits = burns("0.3");
        wait::until_exists(&started);
        let told = told(&flupd, &["status", "--json"]);
        let request = &told["requests"][0];
        let cpu = request["cpu_ms"].as_u64().unwrap();
        // What comes before and after it, and a tick of the kernel's clock, is few.
        assert!((295..450).contains(&cpu), "{told}");
        assert!(request["age_ms"].as_u64() >= Some(cpu), "{told}");
        let worker = &told["apps"][0]["workers"][0];
        assert!(worker["cpu_ms"].as_u64() >= Some(1000), "{told}");
        assert!(worker["memory"].as_u64() > Some(1 << 20), "{told}");
        let before = threads.parse::<u64>().unwrap();
        assert_eq!(worker["served"], before, "{told}");
        assert_eq!(told["apps"][0]["totals"]["requests"], before);
        fs::write(&gate, "").unwrap();
    }
}

#[test]
fn the_table_is_for_people() {
    let site = Front::NginxKeepConn.serve_with(Serve::app(&app("stuck.py")).args([
        "--workers",
        "2",
        "--threads",
        "1",
    ]));
    site.flupd.wait_for_log("ready");
    expect_a_table_for_people(&site);
}

/// What it says of two threads, of which one is busy in between.
pub fn expect_a_table_for_people(site: &Site) {
    let idle = said(&site.flupd, &["status"]);
    assert!(idle.contains("app: 0 of 2 threads busy, 0 waiting, generation 1"), "{idle}");
    assert_eq!(said(&site.flupd, &["trace"]), "no request runs\n");
    std::thread::scope(|scope| {
        let started = site.flupd.file("started");
        let gate = site.flupd.file("gate");
        let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
        scope.spawn(move || site.get(&target));
        wait::until_exists(&started);
        let busy = said(&site.flupd, &["status"]);
        assert!(busy.contains("app: 1 of 2 threads busy"), "{busy}");
        assert!(busy.contains("in the app"), "{busy}");
        assert!(busy.contains("GET /hold?started="), "{busy}");
        fs::write(gate, "").unwrap();
    });
}

/// A second generation is told apart; requests of the old one are still seen.
#[test]
fn a_reload_is_seen() {
    let flupd = serve("1");
    let _stuck = ask(&flupd, "/in_sleep");
    wait::until("it runs", || said(&flupd, &["trace"]).contains("in in_sleep"));
    said(&flupd, &["reload"]);
    let told = told(&flupd, &["status", "--json"]);
    let generations: Vec<_> =
        told["apps"].as_array().unwrap().iter().map(|app| app["generation"].as_u64()).collect();
    assert_eq!(generations, [Some(1), Some(2)]);
    assert!(said(&flupd, &["trace"]).contains("in in_sleep"));
}
