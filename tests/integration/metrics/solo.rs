//! The status listener beside solo workers: what each of them counts is told together,
//! also while all are stuck.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::{Samples, Status, duration_bucket};
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::{app, wait};

fn solo(status: Status, options: &[&str]) -> Serve {
    Serve::app(&app("saturated.py")).args(status.option()).args(options)
}

fn ready(status: Status, count: f64) {
    wait::until("the workers are ready", || {
        status.samples().with("workers", "state", "ready") == count
    });
}

fn ask(flupd: &Flupd, method: &str, target: &str) -> UnixStream {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, method, target, b"")).unwrap();
    stream
}

/// Each on a connection of its own, so that both processes get some.
fn nap(flupd: &Flupd, seconds: &str, code: u16) {
    let target = format!("/nap?seconds={seconds}&status={code}");
    assert_eq!(Answer::read(&mut ask(flupd, "GET", &target), 1).unwrap().body(), "slept\n");
}

/// How many requests each process has answered.
fn served(status: Status) -> Vec<u64> {
    let report = Request::get("/status.json").send(status.0).unwrap().json();
    let workers = report["apps"][0]["workers"].as_array().unwrap();
    workers.iter().map(|worker| worker["served"].as_u64().unwrap()).collect()
}

/// Through a real web server and to two processes: each request is counted once, by
/// status, and its time is in the right bucket.
#[test]
fn the_counts_are_those_of_the_load() {
    let status = Status::somewhere();
    let site = Front::NginxSolo.serve_with(solo(status, &["--workers", "2"]));
    ready(status, 2.0);
    assert_eq!(status.samples().of("request_duration_seconds_count"), 0.0);
    let begun = Instant::now();
    for (times, seconds, code) in [(12, "0", 200), (3, "0", 404), (2, "0.3", 500)] {
        for _ in 0..times {
            let answer = site.get(&format!("/nap?seconds={seconds}&status={code}"));
            assert_eq!(answer.status, code);
        }
    }
    // Until both have had one, whatever the kernel likes.
    let mut more = 0;
    wait::until("both have served", || {
        std::thread::scope(|scope| {
            let naps = [(); 4].map(|()| scope.spawn(|| nap(&site.flupd, "0.02", 200)));
            naps.into_iter().for_each(|nap| nap.join().unwrap());
        });
        more += 4;
        served(status).iter().all(|served| *served > 0)
    });
    let all = 17.0 + f64::from(more);
    let counted = |samples: &Samples| samples.of("request_duration_seconds_count");
    wait::until("all are counted", || counted(&status.samples()) == all);
    wait::until("nobody is busy", || status.samples().of("threads_busy") == 0.0);
    let samples = status.samples();
    assert_eq!(served(status).iter().sum::<u64>(), 17 + more as u64);
    for (class, count) in [("2xx", all - 5.0), ("3xx", 0.0), ("4xx", 3.0), ("5xx", 2.0)] {
        assert_eq!(samples.with("requests_total", "status", class), count, "{class}");
    }
    let slow = all - duration_bucket(&samples, "0.25");
    assert!((2.0..all).contains(&slow), "{slow}");
    let (sum, busy) =
        (samples.of("request_duration_seconds_sum"), samples.of("busy_seconds_total"));
    let most = 2.0 * begun.elapsed().as_secs_f64();
    assert!(sum >= 0.6 && (0.6..most).contains(&busy), "{sum} {busy} {most}");
    assert_eq!(samples.of("queue_wait_seconds_count"), all);
    assert_eq!(samples.of("gil_wait_seconds_count"), all);
    assert_eq!((samples.of("threads"), samples.sum("refused_total")), (2.0, 0.0));
    assert!(samples.of("sent_bytes_total") > 6.0 * all);
    assert!(samples.of("received_bytes_total") > 100.0 * all);
    assert!(samples.sum("accepted_total") >= f64::from(more));
    assert!(samples.sum("worker_resident_bytes") > 2e6);
}

/// Every process is in the app, in Python, asleep, or in C with the interpreter held: the
/// status is told at once.
#[test]
fn it_answers_while_every_process_is_stuck() {
    let status = Status::somewhere();
    let flupd = solo(status, &["--solo", "--workers", "3"]).on_fastcgi();
    ready(status, 3.0);
    let gate = flupd.file("gate");
    let mut running = Vec::new();
    for (name, path) in [("one", "/python"), ("two", "/sleep"), ("three", "/c")] {
        let started = flupd.file(name);
        let target = format!("{path}?started={}&gate={}", started.display(), gate.display());
        // One that is in the middle of a request takes no other.
        running.push(ask(&flupd, "GET", &target));
        wait::until_exists(&started);
    }
    wait::until("all are busy", || status.samples().of("threads_busy") == 3.0);
    for path in ["/metrics", "/healthz", "/readyz", "/status.json", "/status.json?frames=0", "/"] {
        // In one of several tries: others use this machine, too.
        wait::until(&format!("{path} is told in 100 ms"), || {
            let begun = Instant::now();
            assert_eq!(status.get(path).status, 200, "{path}");
            begun.elapsed() < Duration::from_millis(100)
        });
    }
    let busy = |samples: Samples| samples.of("busy_seconds_total");
    let before = busy(status.samples());
    wait::until("busy time goes on", || busy(status.samples()) > before + 0.3);
    wait::until("each says where it is", || {
        let report = Request::get("/status.json?frames=0").send(status.0).unwrap().json();
        let requests = report["requests"].as_array().unwrap();
        let known = |request: &&Value| request["frames"].to_string().contains("saturated.py");
        requests.iter().filter(known).count() == 3
    });
    std::fs::write(&gate, b"").unwrap();
    for mut stream in running {
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "done\n");
    }
    wait::until("nobody is busy", || status.samples().of("threads_busy") == 0.0);
}

/// Deaths have their cause, and what the dead had counted stays; reloads and the death of the
/// process that tells change nothing of it.
#[test]
fn counts_outlive_processes() {
    let status = Status::somewhere();
    let flupd = solo(status, &["--solo"]).on_fastcgi();
    ready(status, 1.0);
    for _ in 0..5 {
        nap(&flupd, "0", 200);
    }
    let started = flupd.file("dies");
    let target = format!("/sleep?started={}&gate={}", started.display(), "/never");
    let _lost = ask(&flupd, "POST", &target);
    wait::until_exists(&started);
    // Nothing was asked in between: the last request is counted as well.
    let children = flupd.tree();
    let named = |pid: &&i32, what: &str| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| line.contains(what))
    };
    let pid = |what: &str| {
        let found = children.iter().skip(1).find(|pid| named(pid, what));
        rustix::process::Pid::from_raw(*found.unwrap()).unwrap()
    };
    kill_process(pid("solo 1"), Signal::KILL).unwrap();
    wait::until("another is ready", || {
        status.get("/readyz").status == 200 && {
            let samples = status.samples();
            samples.sum_with("worker_ends_total", "cause", "SIGKILL") == 1.0
                && samples.with("workers", "state", "ready") == 1.0
        }
    });
    let counts = || status.samples().with("requests_total", "status", "2xx");
    assert_eq!(counts(), 5.0);
    nap(&flupd, "0", 200);
    wait::until("it counts on", || counts() == 6.0);

    flupd.signal(Signal::HUP);
    wait::until("it is reloaded", || flupd.log().contains(" reloaded"));
    nap(&flupd, "0", 200);
    wait::until("the old generation has gone", || {
        let samples = status.samples();
        ["starting", "ready", "leaving"].map(|state| samples.sum_with("workers", "state", state))
            == [0.0, 1.0, 0.0]
    });
    wait::until("it counts on", || counts() == 7.0);
    assert_eq!(status.samples().sum_with("workers", "generation", "2"), 1.0);

    kill_process(pid("gateway"), Signal::KILL).unwrap();
    flupd.wait_for_log("the process that tells the status ended unexpectedly");
    wait::until("it is told again", || Request::get("/readyz").send(status.0).is_ok());
    assert_eq!(counts(), 7.0);
    nap(&flupd, "0", 200);
}

/// Whoever asks is told that nobody knows, and does not wait for ever.
#[test]
fn without_the_supervisor_nothing_is_told() {
    let status = Status::somewhere();
    let flupd = solo(status, &["--solo"]).on_fastcgi();
    ready(status, 1.0);
    flupd.signal(Signal::STOP);
    for path in ["/metrics", "/status.json", "/readyz"] {
        let answer = status.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().contains("supervisor does not answer"), "{}", answer.text());
    }
    for path in ["/healthz", "/"] {
        assert_eq!(status.get(path).status, 200, "{path}");
    }
    flupd.signal(Signal::CONT);
    wait::until("all is well", || status.get("/readyz").status == 200);
    ready(status, 1.0);
}

/// A load balancer hears of the end while requests are still being finished; and a reload
/// moves the listener, or ends it.
#[test]
fn it_follows_what_flupd_does() {
    let (first, second) = (Status::somewhere(), Status::somewhere());
    let text = |status: Option<Status>| {
        let app = app("saturated.py");
        let status = status.map(|status| format!("status = \"{}\"\n", status.0));
        format!(
            "{}[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.app]\napp = \"{app}\"\nsolo = true\n",
            status.unwrap_or_default()
        )
    };
    let mut flupd = Serve::config(&text(None)).on_its_socket();
    flupd.wait_for_log("ready");
    let mut reloads = 0;
    let mut reload = |flupd: &Flupd, status: Option<Status>| {
        reloads += 1;
        flupd.write_config(&text(status));
        flupd.signal(Signal::HUP);
        wait::until("it is reloaded", || flupd.log().matches(" reloaded").count() == reloads);
    };
    let answers = |status: Status| Request::get("/readyz").send(status.0).is_ok();
    reload(&flupd, Some(first));
    wait::until("the first one answers", || answers(first));
    reload(&flupd, Some(second));
    wait::until("the second one answers", || answers(second) && !answers(first));
    reload(&flupd, None);
    wait::until("none answers", || !answers(second));
    reload(&flupd, Some(first));
    wait::until("it is ready", || first.get("/readyz").status == 200);

    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/sleep?started={}&gate={}", started.display(), gate.display());
    let mut stream = ask(&flupd, "GET", &target);
    wait::until_exists(&started);
    flupd.signal(Signal::TERM);
    wait::until("it says that it stops", || first.get("/readyz").status == 503);
    assert_eq!(first.get("/healthz").status, 200);
    std::fs::write(&gate, b"").unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "done\n");
    assert!(flupd.wait().success());
}
