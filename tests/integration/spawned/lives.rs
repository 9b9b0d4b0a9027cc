//! How the processes of a script begin and end.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::way::{Site, Way};
use crate::harness::http::Request;
use crate::harness::script::Script;
use crate::harness::wait;

in_ways! {
    a_crash_costs_one_request, a_start_that_fails_says_why, sigterm_finishes_what_runs,
    a_stop_leaves_nobody_behind, a_kill_leaves_nobody_behind,
}

fn a_crash_costs_one_request(way: Way) {
    let site = way.serve();
    for mishap in ["/os-exit", "/segfault"] {
        let answer = Request::post(mishap, "").send(site.web.address());
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 500));
        // Until the web server has noticed, it may send others there.
        let mut answers = 0;
        wait::until("requests are answered again", || {
            answers += usize::from(site.get("/pid").status == 200);
            answers >= 4
        });
        if !way.is_watched() {
            return;
        }
    }
}

fn a_start_that_fails_says_why(way: Way) {
    let script = Script::with("import no_such_module\n");
    let site = way.start(script);
    assert!(site.get("/").status >= 500);
    site.wait_for_log("ModuleNotFoundError: No module named 'no_such_module'");
    let works = "def application(environ, start_response):\n\
        \x20   start_response('200 OK', [])\n\
        \x20   return [b'repaired']\n";
    let first = format!("#!/usr/bin/env flupd\n# flupd: {}\n", way.options());
    site.script.write(&first, works);
    // multiwatch gives up after three failures, and spawn-fcgi has gone.
    if matches!(way, Way::Multiwatch | Way::SpawnFcgi) {
        return;
    }
    wait::until("the repaired script is served", || site.get("/").text() == "repaired");
}

/// A request that runs.
fn held(site: &Site) -> (thread::JoinHandle<String>, impl FnOnce()) {
    let (started, gate) = (site.script.file("started"), site.script.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let address = site.web.address();
    let client = thread::spawn(move || {
        Request::get(&target).send(address).map_or_else(|e| e.to_string(), |answer| answer.text())
    });
    wait::until_exists(&started);
    (client, move || fs::write(gate, "").unwrap())
}

pub fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// As mod_fcgid does it: SIGTERM, and SIGKILL three seconds later.
fn sigterm_finishes_what_runs(way: Way) {
    let site = way.serve();
    let (client, open) = held(&site);
    let before = site.script.processes();
    // A web server knows those that it has started, and not their workers.
    let started = |pid: &&i32| parent(**pid).is_some_and(|parent| !before.contains(&parent));
    for pid in before.iter().filter(started) {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        let _ = kill_process(pid, Signal::TERM);
    }
    thread::sleep(Duration::from_millis(100));
    open();
    assert_eq!(client.join().unwrap(), "held\n");
    let left = || site.script.processes().iter().any(|pid| before.contains(pid));
    wait::until("they have gone", || !left());
}

fn a_stop_leaves_nobody_behind(way: Way) {
    let mut site = way.serve();
    site.pid();
    assert!(way.is_cgi() || !site.script.processes().is_empty());
    site.stop(Signal::TERM);
    site.script.wait_until_gone();
}

/// Those that nobody takes care of are as any daemon: they stay.
fn a_kill_leaves_nobody_behind(way: Way) {
    if !way.is_watched() {
        return;
    }
    let mut site = way.serve();
    site.pid();
    site.stop(Signal::KILL);
    site.script.wait_until_gone();
}
