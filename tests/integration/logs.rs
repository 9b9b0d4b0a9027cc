//! What flupd writes about itself, and what it tells apps about itself.

use std::io::Write;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::app;
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};

fn get(flupd: &Flupd, target: &str) -> Answer {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    Answer::read(&mut stream, 1).unwrap()
}

/// Every line is an object, the traceback's lines are inside one of them.
#[test]
fn json() {
    let mut flupd = Serve::app(&app("wrong.py")).args(["--log-format", "json"]).on_fastcgi();
    assert!(get(&flupd, "/raises").text().starts_with("Status: 500"));
    flupd.wait_for_log("Mishap");
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    let log = flupd.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(lines.len() > 2, "{log}");
    for line in &lines {
        for field in ["timestamp", "level"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    let mishap = lines.iter().find(|line| line.to_string().contains("Mishap")).unwrap();
    assert_eq!(mishap["level"], "ERROR");
    assert!(mishap.to_string().contains("Traceback"), "{mishap}");
}

#[test]
fn level() {
    let flupd = Serve::app(&app("wrong.py")).args(["--log-level", "error"]).on_fastcgi();
    assert_eq!(get(&flupd, "/hello").body(), "hello\n");
    assert_eq!(flupd.log(), "");
    assert!(get(&flupd, "/raises").text().starts_with("Status: 500"));
    flupd.wait_for_log("Mishap");
}

/// multithread and multiprocess are what `--threads` and `--workers` make of them.
#[test]
fn concurrency_is_told_truly() {
    for (workers, threads) in [("1", "1"), ("1", "3"), ("2", "1"), ("2", "2")] {
        let serve = Serve::app(&app("echo.py"));
        let flupd = serve.args(["--workers", workers, "--threads", threads]).on_fastcgi();
        let told: Value = serde_json::from_str(&get(&flupd, "/").body()).unwrap();
        assert_eq!(told["environ"]["wsgi.multithread"], json!(threads != "1"));
        assert_eq!(told["environ"]["wsgi.multiprocess"], json!(workers != "1"));
    }
}
