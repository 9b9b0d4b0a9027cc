//! `flupd status` and `flupd trace` in solo mode, where the one thread of each process is
//! in the app.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::harness::fcgi;
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::{app, wait};
use crate::status::{expect_a_table_for_people, said, told};

const CASES: [&str; 5] = ["in_loop", "in_sleep", "in_recv", "in_lock", "in_c"];

/// How many workers take requests.
fn ready(flupd: &Flupd) -> usize {
    let told = told(flupd, &["status", "--json"]);
    let workers = told["apps"][0]["workers"].as_array().unwrap();
    workers.iter().filter(|worker| worker["state"] == "ready").count()
}

fn ask(flupd: &Flupd, target: &str) -> UnixStream {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    stream
}

/// The place in the app where this case stays, as a frame names it.
fn place(case: &str) -> String {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    let is_it = |line: &str| line.ends_with(&format!("# HERE {case}"));
    let line = source.lines().position(is_it).unwrap() + 1;
    format!("stuck.py\", line {line}, in {case}")
}

fn solo(options: &[&str]) -> Serve {
    Serve::app(&app("stuck.py")).args(["--solo"]).args(options)
}

/// Whatever the app does: in Python, in a system call, in C that keeps the interpreter;
/// and in every process of several.
#[test]
fn a_trace_names_the_line_of_the_app() {
    for workers in ["1", "2"] {
        for case in CASES {
            let flupd = solo(&["--workers", workers]).on_fastcgi();
            flupd.wait_for_log("ready");
            let busy: usize = workers.parse().unwrap();
            let wanted = place(case);
            // A process that is busy takes no connection, or soon takes none.
            let mut stuck = Vec::new();
            wait::until(&format!("the trace names {wanted} {workers} times"), || {
                if stuck.len() < 2 * busy {
                    stuck.push(ask(&flupd, &format!("/{case}?x=1")));
                }
                said(&flupd, &["trace"]).matches(&wanted).count() == busy
            });
            let text = said(&flupd, &["trace"]);
            assert!(text.contains(&format!("GET /{case}?x=1\n")), "{text}");
            assert!(text.contains("in the app, worker 1 (pid "), "{text}");
            // In one of several tries: others use this machine, too.
            wait::until(&format!("{case} with {workers} workers is told in 100 ms"), || {
                let start = Instant::now();
                said(&flupd, &["trace"]);
                start.elapsed().as_millis() < 100
            });
        }
    }
}

/// With time limits the process has a thread that asks as well, for the log.
#[test]
fn both_who_ask_are_answered() {
    let flupd = solo(&["--slow-request", "0.2"]).on_fastcgi();
    flupd.wait_for_log("ready");
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    for round in 1..=3 {
        let mut stream = ask(&flupd, &target);
        wait::until("it is logged with its frames", || {
            said(&flupd, &["trace"]);
            let log = flupd.log();
            log.matches("in hold").count() == round
        });
        wait::until("the trace names it", || said(&flupd, &["trace"]).contains("in hold"));
        fs::write(&gate, "").unwrap();
        fcgi::Answer::read(&mut stream, 1).unwrap();
        fs::remove_file(&gate).unwrap();
    }
}

/// What the process has accepted before: the request that runs, those behind it, and what
/// arrives. What waits in the kernel nobody sees.
#[test]
fn what_waits_is_told_as_far_as_it_is_known() {
    let flupd = solo(&[]).on_fastcgi();
    flupd.wait_for_log("ready");
    let mut uploading = flupd.connect();
    let upload = fcgi::request(1, 0, "POST", "/upload", &[b'x'; 3000]);
    uploading.write_all(&upload[..upload.len() - 1000]).unwrap();
    wait::until("a body arrives", || told(&flupd, &["status", "--json"])["reading"] == 1);

    // All in one packet, on one connection: read at once.
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut packet = fcgi::request(1, fcgi::KEEP_CONN, "GET", &target, b"");
    for number in 2..=14 {
        packet.extend(fcgi::request(
            number,
            fcgi::KEEP_CONN,
            "GET",
            &format!("/pid?{number}"),
            b"",
        ));
    }
    let mut stream = flupd.connect();
    stream.write_all(&packet).unwrap();
    wait::until_exists(&started);
    let told = || told(&flupd, &["status", "--json"]);
    wait::until("all of them are known", || told()["apps"][0]["waiting"] == 13);
    let told = told();
    let request = |at: usize| &told["requests"][at];
    assert_eq!(
        (&request(0)["phase"], &request(0)["url"]),
        (&"in the app".into(), &(*target).into())
    );
    assert!(request(0)["cpu_ms"].is_u64() && request(0)["waited_ms"].is_u64(), "{told}");
    assert_eq!((&request(1)["phase"], &request(1)["url"]), (&"queued".into(), &"/pid?2".into()));
    let listed = told["requests"].as_array().unwrap().len() as u64;
    assert!(listed > 4, "{told}");
    // One of the fifteen is the upload.
    assert_eq!(listed + told["more"].as_u64().unwrap(), 15, "{told}");
    assert_eq!((&told["reading"], &told["connections"]), (&1.into(), &2.into()));
    let worker = &told["apps"][0]["workers"][0];
    assert_eq!((&worker["busy"], &worker["served"]), (&1.into(), &0.into()), "{told}");
    assert!(worker["memory"].as_u64() > Some(1 << 20), "{told}");
    fs::write(&gate, "").unwrap();
    wait::until("all are answered", || {
        let told = self::told(&flupd, &["status", "--json"]);
        told["requests"].as_array().unwrap().is_empty()
            && told["apps"][0]["workers"][0]["served"] == 14
            && told["apps"][0]["totals"]["requests"] == 14
    });
}

/// The answer waits until the client takes some of it.
#[test]
fn who_writes_is_not_in_the_app() {
    let flupd = solo(&[]).on_fastcgi();
    flupd.wait_for_log("ready");
    let _stream = ask(&flupd, "/endless");
    wait::until("it writes", || {
        told(&flupd, &["status", "--json"])["requests"][0]["phase"] == "writing"
    });
}

#[test]
fn the_table_is_for_people() {
    let site = Front::NginxSolo.serve_with(Serve::app(&app("stuck.py")).args(["--workers", "2"]));
    site.flupd.wait_for_log("ready");
    wait::until("both are ready", || ready(&site.flupd) == 2);
    expect_a_table_for_people(&site);
}

/// A second generation is told apart; requests of the old one are still seen.
#[test]
fn a_reload_is_seen() {
    let flupd = solo(&[]).on_fastcgi();
    flupd.wait_for_log("ready");
    let _stuck = ask(&flupd, "/in_sleep");
    wait::until("it runs", || said(&flupd, &["trace"]).contains("in in_sleep"));
    said(&flupd, &["reload"]);
    let told = told(&flupd, &["status", "--json"]);
    let apps = told["apps"].as_array().unwrap();
    let generations: Vec<_> = apps.iter().map(|app| app["generation"].as_u64()).collect();
    assert_eq!(generations, [Some(1), Some(2)]);
    assert_eq!((&apps[0]["draining"], &apps[1]["draining"]), (&true.into(), &false.into()));
    assert_eq!(apps[0]["workers"][0]["state"], "leaving");
    assert!(said(&flupd, &["trace"]).contains("in in_sleep"));
}

/// What is cut because its time is over is named, too.
#[test]
fn a_request_that_is_cut_is_named() {
    let flupd = solo(&["--graceful-timeout", "0.3"]).on_fastcgi();
    flupd.wait_for_log("ready");
    let _stuck = ask(&flupd, "/in_sleep?cut");
    wait::until("it runs", || said(&flupd, &["trace"]).contains("in in_sleep"));
    said(&flupd, &["reload"]);
    flupd.wait_for_log("worker died");
    let log = flupd.log();
    let died = log.lines().find(|line| line.contains("worker died")).unwrap();
    assert!(died.contains("requests=\"GET /in_sleep?cut (in the app, "), "{died}");
}

/// No thread is there for all this: one would have `os.fork` warn from Python 3.12 on.
#[test]
fn the_process_has_one_thread() {
    let flupd = solo(&[]).on_fastcgi();
    flupd.wait_for_log("ready");
    let _stuck = ask(&flupd, "/in_sleep");
    wait::until("it runs", || said(&flupd, &["trace"]).contains("in in_sleep"));
    let told = told(&flupd, &["status", "--json"]);
    let pid = &told["apps"][0]["workers"][0]["pid"];
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    assert_eq!(threads, 1);
}

/// The app works on one, others wait; then the process is gone. The log names them, and
/// what was answered before.
#[test]
fn what_a_dead_process_was_doing_is_known() {
    let options = ["--request-timeout", "1", "--request-grace", "0.2"];
    let segfault = ("/segfault?now", "SIGSEGV", &[][..]);
    let killed = ("/in_sleep?now", "SIGKILL", &[][..]);
    // It ends itself, for what does not end.
    let limited = ("/in_c?now", "SIGKILL", &options[..]);
    for (target, cause, options) in [segfault, killed, limited] {
        let site = Front::NginxSolo.serve_with(Serve::app(&app("stuck.py")).args(options.to_vec()));
        let pid = site.get("/pid?first").text();
        assert_eq!(site.get("/pid?second").status, 200);
        let _lost = ask(&site.flupd, target);
        if target.contains("sleep") {
            wait::until("it runs", || said(&site.flupd, &["trace"]).contains("in in_sleep"));
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        site.flupd.wait_for_log("worker died");
        let log = site.flupd.log();
        let died = log.lines().find(|line| line.contains("worker died")).unwrap();
        assert!(died.contains(cause) && died.contains(&format!(" pid={pid} ")), "{died}");
        assert!(died.contains(&format!("requests=\"GET {target} (in the app, ")), "{died}");
        let before = died.split("before=").nth(1).unwrap();
        let (first, second) = before.split_once("; ").unwrap();
        assert!(
            first.starts_with("\"GET /pid?first: 200 in ") && first.ends_with(" ms ago"),
            "{died}"
        );
        assert!(second.starts_with("GET /pid?second: 200 in "), "{died}");
        wait::until("another process answers", || site.get("/pid").status == 200);
        assert_ne!(site.get("/pid").text(), pid);
    }
}
