//! Where the access log goes, and that nothing is lost on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use super::{FILE, logging, wait_for_lines};
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::Serve;
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::{app, source, wait};
use crate::log_files::rotate;

/// Each line once and whole, while files are moved away all the time; in all ways
/// to run an app.
#[test]
fn rotation_under_load_loses_no_request() {
    for (front, args) in [
        (Front::NginxKeepConn, &["--workers", "2"][..]),
        (Front::NginxKeepConn, &["--workers", "2", "--preload"]),
        (Front::NginxSolo, &["--workers", "2"]),
    ] {
        let mut site = front.serve_with(logging("answers.py", "json").args(args));
        let (done, sent) = (&AtomicBool::new(false), &AtomicUsize::new(0));
        let client = &site;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let id = format!("r{}", sent.fetch_add(1, Ordering::Relaxed));
                        let request = Request::get("/hello").header("X-Request-Id", &id);
                        assert_eq!(client.send(&request).status, 200);
                    }
                });
            }
            rotate(client, FILE, 30);
            done.store(true, Ordering::Relaxed);
        });
        // What is still on its way comes at the end.
        site.flupd.signal(Signal::TERM);
        assert_eq!(site.flupd.wait().code(), Some(0));
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let files = fs::read_dir(site.flupd.file("")).unwrap().map(|entry| entry.unwrap().path());
        let mut count = 0;
        for file in files.filter(|path| path.to_string_lossy().contains(FILE)) {
            count += 1;
            for line in fs::read_to_string(&file).unwrap().lines() {
                let object: Value = serde_json::from_str(line).expect(line);
                *seen.entry(object["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        assert_eq!((count, seen.len()), (31, sent.load(Ordering::Relaxed)), "{front:?} {args:?}");
        assert!(seen.values().all(|times| *times == 1), "each once");
    }
}

/// A pipe that nobody reads: requests go on, and what is lost is counted.
#[test]
fn an_access_log_that_nobody_reads_stops_nothing() {
    let serve = Serve::app(&app("wrong.py"));
    let fifo = serve.dir().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    // Open on both ends, so that nobody waits for the other.
    let mut reader = fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let long = "x".repeat(2000);
    let format = format!("%s {long}{long}{long}{long}");
    let serve = serve.args(["--access-log", "fifo", "--access-log-format", &format]);
    let flupd = serve.on_fastcgi();
    // 8 KiB a request: more than 4 MiB in the gateway, as much in the supervisor.
    let mut stream = flupd.connect();
    for _ in 0..1500 {
        stream.write_all(&fcgi::request(1, 1, "GET", "/hello", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
    }
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    flupd.wait_for_log("lines were lost");
}

#[test]
fn it_can_go_to_standard_output_or_into_the_log() {
    let serve = Serve::app(&app("answers.py")).args([
        "--access-log",
        "-",
        "--access-log-format",
        "%s visited",
    ]);
    // The harness has both in one file, which one writer then serves.
    let site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!(site.get("/hello").status, 200);
    site.flupd.wait_for_log("\n200 visited\n");
    site.flupd.wait_for_log("INFO ready");
    let serve = Serve::app(&app("answers.py")).args([
        "--log",
        "all.log",
        "--access-log",
        "./all.log",
        "--access-log-format",
        "%s visited",
    ]);
    let site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!(site.get("/hello").status, 200);
    wait::until("both are in the file", || {
        let text = fs::read_to_string(site.flupd.file("all.log")).unwrap();
        text.contains("\n200 visited\n") && text.contains("INFO ready\n")
    });
}

#[test]
fn a_wrong_format_is_pointed_at() {
    let (code, output) = logging("answers.py", "%h %{x}J").refused();
    assert_eq!(code, Some(2));
    assert_eq!(
        output,
        "error: --access-log-format can't be used: no field is called %J\n    %h %{x}J\n       ^\n"
    );
    let serve = Serve::app(&app("answers.py")).args(["--access-log-format", "json"]);
    let (code, output) = serve.refused();
    assert!(code == Some(2) && output.contains("does nothing without access-log"), "{output}");
}

/// Run by logrotate itself, twice.
#[test]
fn the_example_of_logrotate_is_right() {
    let serve = Serve::app(&app("answers.py")).args(["--log", "flupd.log", "--access-log", FILE]);
    let site = Front::NginxFastcgi.serve_with(serve);
    let dir = site.flupd.file("");
    assert_eq!(site.get("/hello").status, 200);
    wait_for_lines(&site.flupd, 1);
    let example = fs::read_to_string(source("logrotate-examples/flupd")).unwrap();
    let kill = format!("kill -USR1 {}", site.flupd.pid().as_raw_nonzero());
    let config = example
        .replace("/var/log/flupd", dir.to_str().unwrap().trim_end_matches('/'))
        .replace("systemctl kill --kill-whom=main --signal=USR1 flupd.service", &kill);
    assert!(config.contains(&kill) && config.contains(dir.to_str().unwrap().trim_end_matches('/')));
    let file = site.flupd.file("logrotate.conf");
    fs::write(&file, config).unwrap();
    let rotate = || {
        let mut command = Command::new("/usr/sbin/logrotate");
        command.args(["--force", "--verbose", "--state"]).arg(site.flupd.file("state"));
        let output = command.arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for new in ["flupd.log", FILE] {
            wait::until_exists(&site.flupd.file(new));
        }
    };
    rotate();
    assert_eq!(site.get("/cookies").status, 200);
    assert!(wait_for_lines(&site.flupd, 1)[0].contains("/cookies"));
    assert!(fs::read_to_string(site.flupd.file("access.log.1")).unwrap().contains("/hello"));
    rotate();
    wait::until_exists(&site.flupd.file("access.log.2.gz"));
}
