//! Many clients at a time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::flupd::Serve;
use crate::harness::front::{Front, Site};
use crate::harness::http::Request;
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

on_servers! { core: no_cross_talk; routed: kill_of_a_worker_under_load; }

/// 8 clients with 200 requests each: everyone gets the answer to its own question.
fn no_cross_talk(front: Front) {
    let serve = Serve::app(&app("answers.py")).args(front.several("2", "4"));
    let site = &front.serve_with(serve);
    thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                for n in 0..200 {
                    let token = format!("{client}-{n}");
                    let body = format!("body of {token}, {}", "x".repeat(n * 37));
                    let request = Request::post(&format!("/repeat?token={token}"), body.as_str());
                    let answer = site.send(&request);
                    assert_eq!(answer.status, 200, "{token}");
                    assert_eq!(answer.text(), format!("{token}|{body}"));
                }
            });
        }
    });
}

fn worker(site: &Site) -> Pid {
    let text = site.get("/pid").text();
    Pid::from_raw(text.parse().unwrap_or_else(|e| panic!("{e}: {text}"))).unwrap()
}

/// Workers are killed while GETs come in. Not one GET may fail: another worker
/// takes over what the dead one had not begun to answer.
fn kill_of_a_worker_under_load(front: Front) {
    // An app that returns a list: its answer is one piece, so that no kill can fall
    // between the head and the rest.
    let serve = Serve::app(&app("wrong.py")).args(["--workers", "2"]);
    let site = &front.serve_with(serve);
    let stopped = &AtomicBool::new(false);
    let answers = &AtomicUsize::new(0);
    let mut killed = HashSet::new();
    thread::scope(|scope| {
        let stop = Stop::new(stopped);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        let answer = site.get("/pid");
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            let victim = worker(site);
            kill_process(victim, Signal::KILL).unwrap();
            killed.insert(victim);
            wait::until("another worker is started", || {
                let tree = site.flupd.tree();
                // Supervisor, gateway and two workers.
                !tree.contains(&victim.as_raw_nonzero().get()) && tree.len() >= 4
            });
            // A request is repeated once: do not hit the same one again.
            let before = answers.load(Ordering::Relaxed);
            wait::until("the clients go on", || answers.load(Ordering::Relaxed) > before + 50);
        }
        drop(stop);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(killed.len(), 3);
    assert!(!killed.contains(&worker(site)));
    site.flupd.wait_for_log("SIGKILL");
}
