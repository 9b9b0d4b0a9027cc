//! Time limits where gateway and app share one thread.

use std::fs;
use std::io::Write;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(options: &[&str]) -> Flupd {
    Serve::app(&app("stuck.py")).args(["--solo"]).args(options).on_fastcgi()
}

fn try_get(flupd: &Flupd, target: &str) -> std::io::Result<Answer> {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b""))?;
    Answer::read(&mut stream, 1)
}

fn get(flupd: &Flupd, target: &str) -> Answer {
    try_get(flupd, target).unwrap()
}

/// The place in the app where this case stays, as the log names it.
fn place(case: &str) -> String {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    let is_it = |line: &str| line.ends_with(&format!("# HERE {case}"));
    let line = source.lines().position(is_it).unwrap() + 1;
    format!("stuck.py\", line {line}, in {case}")
}

/// Python code and whatever waits is ended, the client gets a 504, and the process
/// goes on.
#[test]
fn request_timeout_ends_what_python_runs() {
    let flupd = serve(&["--request-timeout", "0.5", "--request-grace", "60"]);
    let pid = get(&flupd, "/pid").body();
    for case in ["in_loop", "in_sleep", "in_recv", "in_lock"] {
        let answer = get(&flupd, &format!("/{case}"));
        assert!(answer.text().starts_with("Status: 504"), "{case}: {}", answer.text());
        flupd.wait_for_log(&place(case));
        assert_eq!(get(&flupd, "/pid").body(), pid, "{case}");
    }
    let said = flupd.log().matches("request has had its time (--request-timeout)").count();
    assert_eq!(said, 4, "{}", flupd.log());
}

/// What can't be ended is killed with its process, which is replaced.
#[test]
fn what_does_not_end_is_killed() {
    for case in ["in_c", "catches_all"] {
        let flupd = serve(&["--request-timeout", "0.3", "--request-grace", "0.3"]);
        let pid = get(&flupd, "/pid").body();
        let answer = try_get(&flupd, &format!("/{case}"));
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.end.is_none()));
        flupd.wait_for_log("request does not end; its process is killed");
        flupd.wait_for_log("killed by signal 9");
        assert_ne!(get(&flupd, "/pid").body(), pid);
        let log = flupd.log();
        assert!(case != "in_c" || log.contains(&place(case)), "{log}");
    }
}

/// One that only takes long is logged once, with the line where it is.
#[test]
fn slow_request_is_logged() {
    let flupd = serve(&["--slow-request", "0.2"]);
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    flupd.wait_for_log("slow request");
    fs::write(gate, "").unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().text().starts_with("Status: 200"));
    wait::until("the frames are logged", || flupd.log().contains("in hold"));
    get(&flupd, "/pid");
    assert_eq!(flupd.log().matches("slow request").count(), 1, "{}", flupd.log());
}
