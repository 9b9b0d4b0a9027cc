//! The status listener: what it tells is true, and it tells it whatever else goes on.

mod families;
mod solo;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::http::{Request, Response};
use crate::harness::{app, ports, python, wait};

/// Prometheus' own parser, for what stands on standard input.
const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
families = list(parse(sys.stdin.read()))
assert len({family.name for family in families}) == len(families)
assert all(family.documentation and family.type != 'unknown' for family in families)
print(json.dumps([[s.name, s.labels, s.value] for family in families for s in family.samples]))
";

/// Where the status of one flupd is told.
#[derive(Clone, Copy)]
struct Status(SocketAddr);

impl Status {
    /// A free address.
    fn somewhere() -> Self {
        Self(([127, 0, 0, 1], ports::free()).into())
    }

    fn option(self) -> [String; 2] {
        ["--status".to_owned(), self.0.to_string()]
    }

    fn get(self, path: &str) -> Response {
        // The address may be bound a moment after that of the web servers.
        wait::until_some("the status answers", || Request::get(path).send(self.0).ok())
    }

    /// All samples, as Prometheus understands them.
    fn samples(self) -> Samples {
        let answer = self.get("/metrics");
        assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let mut parser = Command::new(python::frameworks().join("bin/python"))
            .args(["-c", PARSE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(answer.text().as_bytes()).unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", answer.text());
        Samples(serde_json::from_slice(&output.stdout).unwrap())
    }
}

struct Samples(Vec<(String, Value, f64)>);

impl Samples {
    /// The one sample of this name, without its `flupd_`, with this label.
    fn with(&self, name: &str, label: &str, value: &str) -> f64 {
        let name = format!("flupd_{name}");
        let mut found = self.0.iter().filter(|(n, labels, _)| *n == name && labels[label] == value);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "{name} {label}={value} is there twice");
        first.unwrap_or_else(|| panic!("{name} {label}={value} is missing: {:?}", self.0)).2
    }

    fn of(&self, name: &str) -> f64 {
        self.with(name, "app", "app")
    }

    /// All samples of this name together.
    fn sum(&self, name: &str) -> f64 {
        let name = format!("flupd_{name}");
        self.0.iter().filter(|(n, _, _)| *n == name).map(|(_, _, value)| value).sum()
    }

    /// The samples of this name that have this label, together.
    fn sum_with(&self, name: &str, label: &str, value: &str) -> f64 {
        let name = format!("flupd_{name}");
        let those = self.0.iter().filter(|(n, labels, _)| *n == name && labels[label] == value);
        those.map(|(_, _, value)| value).sum()
    }
}

/// Through a real web server: each request is counted once, by status, and its time
/// is in the right bucket.
#[test]
fn the_counts_are_those_of_the_load() {
    let status = Status::somewhere();
    let serve = Serve::app(&app("saturated.py")).args(status.option()).args(["--workers", "2"]);
    let site = Front::NginxFastcgi.serve_with(serve);
    wait::until("both workers are ready", || {
        status.samples().with("workers", "state", "ready") == 2.0
    });
    let before = status.samples().of("request_duration_seconds_count");
    assert_eq!(before, 0.0);
    for (times, seconds, code) in [(12, "0", 200), (3, "0", 404), (2, "0.3", 500)] {
        for _ in 0..times {
            let answer = site.get(&format!("/nap?seconds={seconds}&status={code}"));
            assert_eq!(answer.status, code);
        }
    }
    wait::until("all are counted", || {
        let samples = status.samples();
        samples.of("request_duration_seconds_count") == 17.0 && samples.of("threads_busy") == 0.0
    });
    let samples = status.samples();
    for (class, count) in [("1xx", 0.0), ("2xx", 12.0), ("3xx", 0.0), ("4xx", 3.0), ("5xx", 2.0)] {
        assert_eq!(samples.with("requests_total", "status", class), count, "{class}");
    }
    assert_eq!(samples.of("request_duration_seconds_count"), 17.0);
    assert_eq!(samples.sum("refused_total"), 0.0);
    let slow = 17.0 - duration_bucket(&samples, "0.25");
    assert!((2.0..17.0).contains(&slow), "{slow}");
    let (sum, busy) =
        (samples.of("request_duration_seconds_sum"), samples.of("busy_seconds_total"));
    assert!(sum >= 0.6 && busy >= 0.6 && busy <= sum + 0.1, "{sum} {busy}");
    assert_eq!(samples.of("queue_wait_seconds_count"), 17.0);
    assert_eq!((samples.of("threads"), samples.of("threads_busy")), (4.0, 0.0));
}

fn duration_bucket(samples: &Samples, le: &str) -> f64 {
    samples.with("request_duration_seconds_bucket", "le", le)
}

/// All threads are busy, in Python, asleep, or in C with the interpreter held, and
/// the queue is full: the status is told at once.
#[test]
fn it_answers_while_all_is_saturated() {
    let status = Status::somewhere();
    let serve = Serve::app(&app("saturated.py")).args(status.option()).args(["--queue", "1"]);
    let flupd = serve.args(["--workers", "3", "--threads", "1"]).on_fastcgi();
    let gate = flupd.file("gate");
    let send = |name: &str, path: &str| {
        let started = flupd.file(name);
        let target = format!("{path}?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
        (stream, started)
    };
    wait::until("all workers are ready", || {
        status.samples().with("workers", "state", "ready") == 3.0
    });
    let mut running: Vec<UnixStream> = Vec::new();
    for (name, path) in [("one", "/python"), ("two", "/sleep"), ("three", "/c")] {
        let (stream, started) = send(name, path);
        wait::until_exists(&started);
        running.push(stream);
    }
    running.push(send("four", "/sleep").0);
    wait::until("a request waits", || status.samples().of("queue_length") == 1.0);
    let waits_since = Instant::now();
    let (mut refused, _) = send("five", "/sleep");
    assert!(Answer::read(&mut refused, 1).unwrap().text().starts_with("Status: 503"));

    for path in ["/metrics", "/healthz", "/readyz"] {
        wait::until_prompt(path, || assert_eq!(status.get(path).status, 200));
    }
    let samples = status.samples();
    assert_eq!((samples.of("threads"), samples.of("threads_busy")), (3.0, 3.0));
    assert_eq!((samples.of("queue_length"), samples.sum("refused_total")), (1.0, 1.0));
    assert_eq!(samples.with("requests_total", "status", "5xx"), 1.0);

    let waited = waits_since.elapsed().as_secs_f64();
    std::fs::write(&gate, b"").unwrap();
    for mut stream in running {
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "done\n");
    }
    // A client can have its answer a moment before it is counted.
    wait::until("all are counted", || {
        status.samples().with("requests_total", "status", "2xx") == 4.0
    });
    wait::until("no thread is busy", || status.samples().of("threads_busy") == 0.0);
    let samples = status.samples();
    assert!(samples.of("queue_wait_seconds_sum") >= waited, "{waited}");
    assert_eq!(samples.of("queue_length"), 0.0);
}

/// Deaths have their cause; a client that leaves is no answer; counts outlive both.
#[test]
fn ends_are_told_apart() {
    let status = Status::somewhere();
    let flupd = Serve::app(&app("saturated.py")).args(status.option()).on_fastcgi();
    let ready = || status.get("/readyz").status == 200;
    wait::until("it is ready", ready);
    let request = |name: &str| {
        let (started, gate) = (flupd.file(name), flupd.file("never"));
        let target = format!("/sleep?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "POST", &target, b"")).unwrap();
        wait::until_exists(&started);
        stream
    };
    drop(request("leaves"));
    wait::until("it is counted", || {
        status.samples().with("requests_total", "status", "cancelled") == 1.0
    });
    let mut lost = request("dies");
    let worker = worker(&flupd);
    kill_process(worker, Signal::KILL).unwrap();
    assert!(Answer::read(&mut lost, 1).unwrap().text().starts_with("Status: 502"));
    wait::until("the next worker is ready", || {
        status.samples().with("workers", "state", "ready") == 1.0
    });
    let samples = status.samples();
    assert_eq!(samples.with("worker_ends_total", "cause", "SIGKILL"), 1.0);
    assert_eq!(samples.with("requests_total", "status", "cancelled"), 1.0);
    assert_eq!((samples.sum("refused_total"), samples.of("repeated_total")), (1.0, 0.0));
    assert!(samples.of("worker_resident_bytes") > 1e6);
}

/// A web server that has all of an answer may leave while the app works on: with its
/// connection, or by ABORT_REQUEST.
#[test]
fn who_leaves_with_a_whole_answer_has_cancelled_nothing() {
    let status = Status::somewhere();
    let flupd = Serve::app(&app("waiting.py")).args(status.option()).on_fastcgi();
    let counted = |what| status.samples().with("requests_total", "status", what);
    for (name, count, aborts) in [("goes", 1.0, false), ("aborts", 2.0, true)] {
        let (started, gate) = (flupd.file(name), flupd.file(&format!("gate-{name}")));
        let target = format!("/linger?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", &target, b"")).unwrap();
        wait::until_exists(&started);
        let mut seen = Vec::new();
        while !seen.windows(4).any(|bytes| bytes == b"all\n") {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).unwrap();
            seen.extend_from_slice(&bytes[..read]);
        }
        if aborts {
            stream.write_all(&fcgi::record(fcgi::ABORT_REQUEST, 1, &[])).unwrap();
        } else {
            drop(stream);
        }
        wait::until("it is counted", || counted("2xx") == count);
        assert_eq!(counted("cancelled"), 0.0);
        fs::write(gate, "").unwrap();
    }
}

/// The one worker: neither the supervisor nor the gateway.
fn worker(flupd: &Flupd) -> Pid {
    let is_gateway = |pid: i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| line.contains("gateway"))
    };
    let mut children = flupd.tree().into_iter().skip(1).filter(|pid| !is_gateway(*pid));
    Pid::from_raw(children.next().unwrap()).unwrap()
}

/// A load balancer hears of the end while requests are still being finished.
#[test]
fn readiness_ends_before_flupd_does() {
    let status = Status::somewhere();
    let mut flupd = Serve::app(&app("saturated.py")).args(status.option()).on_fastcgi();
    wait::until("it is ready", || status.get("/readyz").status == 200);
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/sleep?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until_exists(&started);
    flupd.signal(Signal::TERM);
    wait::until("it says that it stops", || status.get("/readyz").status == 503);
    assert_eq!(status.get("/healthz").status, 200);
    std::fs::write(&gate, b"").unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "done\n");
    assert!(flupd.wait().success());
}

/// A reload keeps the counts, and moves the listener.
#[test]
fn a_reload_keeps_the_counts() {
    let (first, second) = (Status::somewhere(), Status::somewhere());
    let text = |status: Status| {
        let app = app("saturated.py");
        format!(
            "status = \"{}\"\n[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.app]\napp = \"{app}\"\nworkers = 1\n",
            status.0
        )
    };
    let flupd = Serve::config(&text(first)).on_its_socket();
    let nap = || {
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", "/nap?seconds=0&status=200", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "slept\n");
    };
    nap();
    for (number, status) in [(1, first), (2, second)] {
        flupd.write_config(&text(status));
        flupd.signal(Signal::HUP);
        wait::until("it is reloaded", || flupd.log().matches(" reloaded").count() == number);
        nap();
        let count = f64::from(u32::try_from(number).unwrap()) + 1.0;
        wait::until("the new address answers", || Request::get("/readyz").send(status.0).is_ok());
        wait::until("the counts go on", || {
            status.samples().with("requests_total", "status", "2xx") == count
        });
        wait::until("the old worker has gone", || {
            let samples = status.samples();
            ["starting", "ready", "leaving"]
                .map(|state| samples.sum_with("workers", "state", state))
                == [0.0, 1.0, 0.0]
        });
    }
    wait::until("the old address is closed", || Request::get("/readyz").send(first.0).is_err());
}

/// Nobody gets at it by mistake, and nobody changes anything.
#[test]
fn who_may_ask_and_what() {
    for (options, why) in [
        (["--status", "0.0.0.0:9100"].as_slice(), "--status-allow"),
        (&["--status", "9100"], "not an address"),
    ] {
        let (code, log) = Serve::app(&app("saturated.py")).args(options).refused();
        assert!(code == Some(2) && log.contains(why), "{code:?} {log}");
    }
    let status = Status::somewhere();
    let flupd = Serve::app(&app("saturated.py"))
        .args(status.option())
        .args(["--status-allow", "192.0.2.7"])
        .on_fastcgi();
    let refused = || Request::get("/metrics").send(status.0).is_err();
    wait::until("it refuses us", refused);
    flupd.wait_for_log("connection refused");
    drop(flupd);

    let status = Status::somewhere();
    let _flupd = Serve::app(&app("saturated.py"))
        .args(status.option())
        .args(["--status-allow", "127.0.0.0/8"])
        .on_fastcgi();
    wait::until("it answers", || Request::get("/healthz").send(status.0).is_ok());
    assert_eq!(Request::post("/metrics", "x").send(status.0).unwrap().status, 405);
    assert_eq!(status.get("/metric").status, 404);
    let long = format!("/{}", "x".repeat(64 * 1024));
    assert!(Request::get(&long).send(status.0).map_or(true, |answer| answer.status >= 400));
}

/// Connections that say nothing do not keep others out for long.
#[test]
fn over_a_unix_socket_and_beside_silent_peers() {
    let serve = Serve::app(&app("saturated.py"));
    let path = serve.dir().join("status.sock");
    let _flupd = serve.args(["--status", "./status.sock"]).on_fastcgi();
    let get = || {
        let mut stream = UnixStream::connect(&path).ok()?;
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        std::io::read_to_string(stream).ok()
    };
    let alive = |answer: &str| answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("alive\n");
    assert!(alive(&wait::until_some("it answers", get)));
    let _silent: Vec<_> = (0..40).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert!(alive(&get().unwrap()));
}
