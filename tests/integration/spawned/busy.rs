//! The end of scripts while requests come in all the time, many at once.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::way::{Site, Way};
use crate::harness::http::Request;
use crate::harness::script::Script;
use crate::harness::stop::Stop;
use crate::harness::wait;

in_ways! {
    a_stop_leaves_nobody_behind, a_kill_leaves_nobody_behind, sigterm_ends_each_process,
}

/// How many clients ask at the same time.
const CLIENTS: usize = 6;

/// Answers of 300 KiB, so that there is always one that is not at its end, and what
/// its clients see meanwhile.
fn under_load(way: Way, test: impl FnOnce(Site, &AtomicUsize)) {
    loaded(way, "pass", test);
}

/// The same with this statement before each answer.
fn loaded(way: Way, work: &str, test: impl FnOnce(Site, &AtomicUsize)) {
    let options = way.options();
    let script = Script::with(&format!(
        "# flupd: {options}\n\
         import time\n\
         def application(environ, start_response):\n\
        \x20   {work}\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   for n in range(30):\n\
        \x20       yield b'x' * 10240\n"
    ));
    let site = way.start(script);
    let address = site.web.address();
    let (stopped, whole) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        let _stop = Stop::new(stopped);
        for _ in 0..CLIENTS {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    match Request::get("/").send(address) {
                        Ok(answer) if answer.status == 200 => {
                            assert_eq!(answer.body.len(), 307_200, "a cut answer looks whole");
                            whole.fetch_add(1, Ordering::Relaxed);
                        }
                        // The web server has gone, or has nobody to ask.
                        _ => thread::sleep(std::time::Duration::from_millis(2)),
                    }
                }
            });
        }
        wait::until("requests are answered", || whole.load(Ordering::Relaxed) > 2 * CLIENTS);
        test(site, whole);
    });
}

fn a_stop_leaves_nobody_behind(way: Way) {
    under_load(way, |mut site, _| {
        site.stop(Signal::TERM);
        site.script.wait_until_gone();
        expect_no_socket(&site);
    });
}

/// A process that serves one request at a time never finds the queue of its socket
/// empty here: it accepted for ever.
#[test]
fn a_stop_ends_under_steady_load() {
    for way in [Way::SpawnFcgi, Way::Multiwatch] {
        loaded(way, "time.sleep(0.05)", |mut site, _| {
            site.stop(Signal::TERM);
            site.script.wait_until_gone();
        });
    }
}

fn a_kill_leaves_nobody_behind(way: Way) {
    // Those that nobody takes care of are as any daemon: they stay.
    if way.is_watched() {
        under_load(way, |mut site, _| {
            site.stop(Signal::KILL);
            site.script.wait_until_gone();
            expect_no_socket(&site);
        });
    }
}

/// Nobody accepts on any socket in the site's directory, and none is held open.
fn expect_no_socket(site: &Site) {
    let dir = site.script.dir().to_str().unwrap();
    wait::until("no socket is left open", || {
        let open = fs::read_to_string("/proc/net/unix").unwrap();
        !open.lines().any(|line| line.contains(dir))
    });
}

/// As the web server does it one by one: each finishes its request and goes, and those
/// that come in their places serve on.
fn sigterm_ends_each_process(way: Way) {
    if way.is_cgi() {
        return;
    }
    under_load(way, |site, whole| {
        let before = site.script.processes();
        let of_the_web_server = |pid: &&i32| {
            super::lives::parent(**pid).is_some_and(|parent| !before.contains(&parent))
        };
        for pid in before.iter().filter(of_the_web_server) {
            let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::TERM);
        }
        wait::until("they have gone", || {
            !site.script.processes().iter().any(|pid| before.contains(pid))
        });
        if way.is_watched() {
            let then = whole.load(Ordering::Relaxed);
            wait::until("others serve on", || whole.load(Ordering::Relaxed) > then + 2 * CLIENTS);
        }
    });
}
