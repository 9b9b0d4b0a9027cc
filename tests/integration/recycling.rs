//! Workers that are replaced after so many requests, at some age or size: no
//! request notices, and there are never fewer.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::harness::flupd::Serve;
use crate::harness::front::{Front, Site};
use crate::harness::http::Request;
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

const DUE: &str = "worker is due and is replaced";

/// One of the apps of these tests.
fn served(name: &str) -> Serve {
    Serve::app(&app(name))
}

/// Clients ask until `enough` processes have answered. Returns how many answers
/// there were.
fn under_load(site: &Site, enough: usize) -> usize {
    let (stopped, answers) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let pids = &Mutex::new(BTreeSet::new());
    let seen = || pids.lock().unwrap_or_else(PoisonError::into_inner).len();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let answer = site.get("/");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    pids.lock().unwrap().insert(answer.text());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop::new(stopped);
        wait::until("workers have been replaced", || seen() >= enough);
    });
    answers.load(Ordering::Relaxed)
}

/// Of two workers each one that has gone (the log has a line for it) had a
/// successor that was ready by then.
fn two_at_any_time(log: &str, gone: &str) {
    let (mut ready, mut replaced) = (2, 0);
    for line in log.lines() {
        if line.contains("replacement worker is ready") {
            ready += 1;
            replaced += 1;
        } else if line.contains(gone) {
            ready -= 1;
        }
        assert!(ready >= 2, "{ready} at {line}\n{log}");
    }
    assert!(replaced >= 2, "{log}");
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn after_so_many_requests_under_load() {
    let args = ["--workers", "2", "--max-requests", "50", "--max-requests-jitter", "20"];
    let site = Front::NginxKeepConn.serve_with(served("grows.py").args(args));
    let answers = under_load(&site, 8);
    assert!(answers >= 6 * 50, "{answers}");
    let log = site.flupd.log();
    assert!(log.contains(DUE) && log.contains("option=\"--max-requests\""), "{log}");
    two_at_any_time(&log, "worker left");
}

#[test]
fn after_so_many_requests_with_preloaded_workers() {
    let args = ["--workers", "2", "--preload", "--max-requests", "50"];
    let site = Front::NginxKeepConn.serve_with(served("grows.py").args(args));
    under_load(&site, 8);
    two_at_any_time(&site.flupd.log(), "worker left");
}

#[test]
fn the_large_ones_under_load() {
    let args = ["--workers", "2", "--max-memory", "120M"];
    let site = Front::NginxKeepConn.serve_with(served("grows.py").args(args));
    // One of the two, whose caches are warm, gets most of them.
    for _ in 0..2 * 120 {
        assert_eq!(site.get("/grow").status, 200);
    }
    under_load(&site, 3);
    let log = site.flupd.log();
    assert!(log.contains("option=\"--max-memory\" rss_kib="), "{log}");
}

#[test]
fn the_old_ones_behind_the_gateway() {
    the_old_ones(Front::NginxKeepConn);
}

#[test]
fn the_old_ones_in_solo_mode() {
    the_old_ones(Front::NginxSolo);
}

fn the_old_ones(front: Front) {
    let args = ["--workers", "2", "--max-age", "2", "--log-level", "debug"];
    let site = front.serve_with(served("grows.py").args(args));
    under_load(&site, 4);
    let log = site.flupd.log();
    assert!(log.contains(DUE) && log.contains("option=\"--max-age\""), "{log}");
    two_at_any_time(&log, "worker ended");
}

/// What runs is finished; what does not end is cut, and its worker with it.
#[test]
fn running_requests_have_the_time_of_a_stop() {
    let args = ["--max-requests", "1", "--graceful-timeout", "3"];
    let site = &Front::NginxKeepConn.serve_with(served("waiting.py").args(args));
    let hold = |name: &str| {
        let (started, gate) = (site.flupd.file(&format!("{name}-on")), site.flupd.file(name));
        (format!("/hold?started={}&gate={}", started.display(), gate.display()), started, gate)
    };
    let ((one, one_on, gate), (never, never_on, _)) = (hold("one"), hold("never"));
    thread::scope(|scope| {
        let one = scope.spawn(move || site.get(&one));
        wait::until_exists(&one_on);
        // A POST is not tried again.
        let never = Request::post(&never, Vec::new());
        let never = scope.spawn(move || site.send(&never));
        wait::until_exists(&never_on);
        fs::write(gate, "").unwrap();
        assert_eq!(one.join().unwrap().text(), "held\n");
        let before = site.get("/pid").text();
        wait::until("another worker answers", || site.get("/pid").text() != before);
        assert_eq!(never.join().unwrap().status, 502);
    });
    site.flupd.wait_for_log("the time for running requests of a replaced worker is over");
}

/// One that can't be replaced goes on.
#[test]
fn a_worker_stays_while_its_successor_cannot_be_imported() {
    let serve = Serve::app("versioned:application").args(["--max-requests", "5"]);
    let path = serve.dir().join("versioned.py");
    fs::copy(app("versioned.py"), &path).unwrap();
    let site = Front::NginxKeepConn.serve_with(serve);
    let good = fs::read_to_string(&path).unwrap();
    let before = site.get("/").text();
    fs::write(&path, "syntax error").unwrap();
    for _ in 0..50 {
        assert_eq!(site.get("/").text(), before);
    }
    site.flupd.wait_for_log("the app can't be imported");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(site.get("/").text(), before);
    fs::write(&path, good).unwrap();
    wait::until("its successor answers", || site.get("/").text() != before);
}

/// A worker that is killed while another one is replaced.
#[test]
fn killed_while_they_are_replaced() {
    let args = ["--workers", "3", "--max-requests", "20"];
    let site = &Front::NginxKeepConn.serve_with(served("grows.py").args(args));
    let stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // A GET is repeated once; the second worker may be killed as well.
                    assert!(matches!(site.get("/").status, 200 | 502));
                }
            });
        }
        let _stop = Stop::new(stopped);
        for kill in 1..=5 {
            let pid = site.get("/").text().parse().unwrap();
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            wait::until("workers are replaced again", || {
                site.flupd.log().matches(DUE).count() >= 3 * kill
            });
        }
    });
    wait::until("three workers are left", || site.flupd.tree().len() == 5);
}
