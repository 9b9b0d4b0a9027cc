//! `/status.json` says what runs, whatever runs.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::site::{Site, address, line};
use crate::harness::flupd::Serve;
use crate::harness::http::Request;
use crate::harness::{app, fcgi, python, wait};

/// In Python, asleep, in C that keeps the interpreter: with all threads busy, and
/// more requests that wait.
#[test]
fn it_tells_where_each_request_is_while_all_workers_are_busy() {
    for case in ["in_loop", "in_sleep", "in_c"] {
        let site = Site::stuck(&["--workers", "2", "--threads", "1"]);
        let _stuck: Vec<_> = (0..2).map(|_| site.ask(&format!("/{case}?x=1"))).collect();
        let wanted = format!("stuck.py\", line {}, in {case}", line(case));
        let runs = |report: &Value| {
            let requests = report["requests"].as_array().unwrap();
            requests
                .iter()
                .filter(|request| request["frames"].to_string().contains("stuck.py"))
                .count()
        };
        wait::until("both run", || runs(&site.report("?frames=0")) == 2);
        let _waits = site.ask("/pid");
        wait::until("one waits", || site.report("")["apps"][0]["waiting"] == 1);

        let report = site.report("?frames=0");
        let running = &report["requests"][0];
        assert_eq!(
            (&running["method"], &running["url"]),
            (&"GET".into(), &format!("/{case}?x=1").into())
        );
        assert_eq!(running["phase"], "in the app");
        let innermost = running["frames"].as_array().unwrap().last().unwrap().as_str().unwrap();
        assert!(innermost.ends_with(&wanted), "{innermost}");
        let app = &report["apps"][0];
        assert_eq!((&app["generation"], &app["draining"]), (&1.into(), &false.into()));
        for worker in app["workers"].as_array().unwrap() {
            assert_eq!((&worker["state"], &worker["busy"]), (&"ready".into(), &1.into()));
            assert!(worker["memory"].as_u64() > Some(1_000_000), "{worker}");
        }
        // Nobody is disturbed who is not asked for.
        for (query, known) in [("", false), ("?frames=3600000", false), ("?frames=1", true)] {
            let report = site.report(query);
            assert_eq!(report["requests"][0]["frames"].is_array(), known, "{query}");
        }
        for path in ["/status.json", "/status.json?frames=0", "/"] {
            wait::until_prompt(path, || assert_eq!(site.get(path).status, 200));
        }
    }
}

/// A thread that computes can be asked at any instruction, also where the interpreter
/// has a frame half made.
#[test]
fn no_question_kills_a_worker() {
    for python in python::interpreters() {
        let options = ["--threads", "1", "--python", python.path.to_str().unwrap()];
        let site = Site::stuck(&options);
        let pid = site.answer("/pid");
        let _stuck = site.ask("/in_calls");
        let place = format!("line {}, in in_calls", line("in_calls"));
        let mut told = 0;
        for _ in 0..200 {
            let report = site.report("?frames=0");
            assert_eq!(report["ends"], serde_json::json!([]), "{}", python.version);
            told += usize::from(report["requests"][0]["frames"].to_string().contains(&place));
        }
        assert!(told > 100, "{}: {told}", python.version);
        assert_eq!(site.report("")["apps"][0]["workers"][0]["pid"].to_string(), pid);
    }
}

/// As many requests as the gateway's thread can take.
#[test]
fn it_tells_while_the_gateway_is_saturated() {
    let serve = Serve::app(&app("saturated.py")).args(["--workers", "1", "--threads", "1"]);
    let site = Site::serve(serve);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut stream = site.flupd.connect();
                let nap = "/nap?seconds=0&status=200";
                let one = fcgi::request(1, fcgi::KEEP_CONN, "GET", nap, b"");
                while !over.load(Ordering::Relaxed) {
                    stream.write_all(&one).unwrap();
                    fcgi::Answer::read(&mut stream, 1).unwrap();
                }
            });
        }
        let total = || site.report("")["apps"][0]["totals"]["requests"].as_u64();
        wait::until("the load runs", || total() > Some(500));
        wait::until_prompt("the report", || drop(site.report("?frames=0")));
        let moved = total();
        wait::until("and goes on", || total() > moved);
        over.store(true, Ordering::Relaxed);
    });
    // Each in one bucket.
    let totals = site.report("")["apps"][0]["totals"].clone();
    let buckets = totals["durations"].as_array().unwrap().iter();
    let sum: u64 = buckets.map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert_eq!(totals["requests"].as_u64(), Some(sum));
}

/// Once a second it is noted what was counted, whether somebody looks or not.
#[test]
fn what_was_before_is_told() {
    let site = Site::stuck(&["--workers", "1", "--threads", "2"]);
    site.answer("/pid");
    let history = |since: &Value| site.report(&format!("?since={since}"))["history"].clone();
    wait::until("the request is in a sample", || {
        history(&0.into())["samples"]
            .as_array()
            .unwrap()
            .iter()
            .any(|sample| sample["apps"][0]["requests"] == 1)
    });
    let all = history(&0.into());
    let samples = all["samples"].as_array().unwrap();
    let app = &samples.last().unwrap()["apps"][0];
    assert_eq!(
        (&app["app"], &app["generation"], &app["threads"]),
        (&"app".into(), &1.into(), &2.into())
    );
    assert!(app["memory"].as_u64() > Some(1_000_000), "{app}");
    let bounds = all["bounds_ms"].as_array().unwrap().len();
    assert_eq!(app["durations"].as_array().unwrap().len(), bounds + 1);
    let last = &samples.last().unwrap()["t"];
    wait::until("another one comes", || {
        let more = history(last);
        let more = more["samples"].as_array().unwrap();
        more.first().is_some_and(|first| first["t"].as_u64() >= last.as_u64().map(|t| t + 500))
    });
    assert!(site.report("").get("history").is_none());
}

/// A worker that died is told with its cause and its request; what it had done is
/// not forgotten.
#[test]
fn deaths_have_their_cause() {
    let site = Site::stuck(&["--workers", "1", "--threads", "1"]);
    let begun = site.report("")["started_ms"].clone();
    let pid: i32 = site.answer("/pid").parse().unwrap();
    let _stuck = site.ask("/in_sleep?order=7");
    let first = || site.report("")["requests"][0].clone();
    wait::until("it runs", || first()["phase"] == "in the app");
    assert_eq!(first()["pid"], pid);
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    wait::until("its end is told", || site.report("")["ends"][0].is_object());
    let report = site.report("");
    let end = &report["ends"][0];
    assert_eq!(
        (&end["pid"], &end["worker"], &end["generation"]),
        (&pid.into(), &1.into(), &1.into())
    );
    assert_eq!(end["expected"], false);
    assert!(end["cause"].as_str().unwrap().contains("SIGKILL"), "{end}");
    assert!(end["requests"].as_str().unwrap().contains("GET /in_sleep?order=7"), "{end}");
    assert!(
        end["at_ms"].as_u64() >= begun.as_u64()
            && end["at_ms"].as_u64() <= report["now_ms"].as_u64()
    );
    assert_eq!(report["started_ms"], begun);
}

/// A reload is seen from both sides.
#[test]
fn an_old_generation_drains() {
    let site = Site::stuck(&["--workers", "1", "--threads", "1"]);
    let _stuck = site.ask("/in_sleep");
    wait::until("it runs", || site.report("")["requests"][0]["phase"] == "in the app");
    site.flupd.signal(Signal::HUP);
    wait::until("the new generation serves", || {
        site.report("")["apps"][1]["workers"][0]["state"] == "ready"
            && site.report("")["apps"][0]["draining"] == true
    });
    let report = site.report("");
    let [old, new] = [0, 1].map(|at| &report["apps"][at]);
    assert_eq!((&old["generation"], &new["generation"]), (&1.into(), &2.into()));
    assert_eq!((&old["workers"][0]["state"], &new["draining"]), (&"leaving".into(), &false.into()));
    assert_eq!(report["requests"][0]["worker"], old["workers"][0]["worker"]);
}

/// Who may not connect gets nothing, whatever the path, and neither does a page of
/// anybody's that has its name point here.
#[test]
fn who_may_look() {
    let paths = ["/", "/status.json", "/dashboard/main.js"];
    let refused = address();
    let flupd = Serve::app(&app("stuck.py"))
        .args(["--status", &refused.to_string(), "--status-allow", "192.0.2.7"])
        .on_fastcgi();
    flupd.wait_for_log("ready");
    for path in paths {
        assert!(Request::get(path).send(refused).is_err(), "{path}");
    }
    drop(flupd);

    let site = Site::stuck(&[]);
    for path in paths {
        let answer = site.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.header("Cross-Origin-Resource-Policy"), Some("same-origin"));
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        for (host, status) in [("attacker.example", 403), ("localhost:9100", 200), ("[::1]", 200)] {
            let told = Request::get(path).header("Host", host).send(site.status).unwrap();
            assert_eq!(told.status, status, "{path} {host}");
        }
        assert_eq!(Request::post(path, "x").send(site.status).unwrap().status, 405);
    }
    // Monitoring may call it what it likes.
    let told = Request::get("/metrics").header("Host", "attacker.example").send(site.status);
    assert_eq!(told.unwrap().status, 200);
    assert_eq!(site.get("/status.json?frames=x").status, 400);
    assert_eq!(site.get("/dashboard/../Cargo.toml").status, 404);
}
