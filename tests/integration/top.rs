//! `flupd top` on a real terminal, when it is needed: every app thread is stuck.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::fcgi;
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::terminal::Terminal;
use crate::harness::{app, temp_dir, wait};

const SIZE: (u16, u16) = (80, 24);

fn serve() -> Flupd {
    let flupd =
        Serve::app(&app("stuck.py")).args(["--workers", "2", "--threads", "1"]).on_fastcgi();
    flupd.wait_for_log("ready");
    flupd
}

fn ask(flupd: &Flupd, target: &str) -> UnixStream {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    stream
}

fn command(flupd: &Flupd) -> Command {
    let mut command = flupd::command();
    command.args(["top", "--interval", "0.2", "--control"]).arg(flupd.file("app.sock.control"));
    command
}

fn line(case: &str) -> usize {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    source.lines().position(|line| line.ends_with(&format!("# HERE {case}"))).unwrap() + 1
}

#[test]
fn it_shows_where_each_stuck_request_is_and_leaves_the_terminal_as_it_was() {
    let flupd = serve();
    let _first = ask(&flupd, "/in_c?x=1");
    let mut top = Terminal::start(&command(&flupd), SIZE);
    top.wait_for("GET /in_c?x=1");
    assert!(top.is_full_screen() && !top.is_restored());
    let _second = ask(&flupd, "/in_loop?y=2");
    top.wait_for("GET /in_loop?y=2");
    let _waits = ask(&flupd, "/pid");
    top.wait_for("queued      GET /pid");
    top.wait_for("2/2");

    // Down to the second, and to what it does.
    top.press("\r");
    top.wait_for(&format!("stuck.py\", line {}, in in_c", line("in_c")));
    top.press("\x1b[B");
    top.wait_for(&format!("stuck.py\", line {}, in in_loop", line("in_loop")));
    // It computes: the time that it has used goes on.
    let cpu = || {
        let text = top.text();
        let row = text.lines().find(|line| line.contains("/in_loop?y=2")).unwrap().to_owned();
        row.split_whitespace().nth(2).unwrap().to_owned()
    };
    let before = cpu();
    wait::until("it uses more CPU time", || cpu() != before);

    top.press("t");
    top.wait_for("GET /in_c?x=1\n  for ");
    top.press("q");
    assert!(top.wait().success());
    wait::until("the terminal is restored", || top.is_restored());
}

/// The one thread of a solo worker is in C that keeps the interpreter.
#[test]
fn solo_workers_are_shown() {
    let flupd = Serve::app(&app("stuck.py")).args(["--solo"]).on_fastcgi();
    flupd.wait_for_log("ready");
    for _ in 0..7 {
        fcgi::Answer::read(&mut ask(&flupd, "/pid"), 1).unwrap();
    }
    let _stuck = ask(&flupd, "/in_c?x=1");
    let mut top = Terminal::start(&command(&flupd), SIZE);
    top.wait_for("GET /in_c?x=1");
    top.wait_for("1/1");
    let text = top.text();
    let worker = text.lines().find(|line| line.contains(" ready ")).unwrap();
    let served: Vec<_> = worker.split_whitespace().rev().take(2).collect();
    assert_eq!(served, ["app", "7"], "{text}");
    top.press("\r");
    top.wait_for(&format!("stuck.py\", line {}, in in_c", line("in_c")));
    top.press("q");
    assert!(top.wait().success());
}

#[test]
fn whatever_ends_it_the_terminal_is_restored() {
    let flupd = serve();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut top = Terminal::start(&command(&flupd), SIZE);
        top.wait_for("WORKER");
        assert!(!top.is_restored());
        top.signal(signal);
        assert!(top.wait().success(), "{signal:?}");
        wait::until("the terminal is restored", || top.is_restored());
    }
    let mut top = Terminal::start(&command(&flupd), SIZE);
    top.wait_for("WORKER");
    top.press("\x03");
    assert!(top.wait().success());
    wait::until("the terminal is restored", || top.is_restored());
}

/// Ctrl-Z gives the terminal back, as does a SIGTSTP of another process; `fg`
/// draws it anew.
#[test]
fn it_can_be_stopped_and_goes_on() {
    let flupd = serve();
    let mut top = Terminal::start(&command(&flupd), SIZE);
    for round in 0..2 {
        top.wait_for("WORKER");
        if round == 0 {
            top.press("\x1a")
        } else {
            top.signal(Signal::TSTP)
        }
        top.wait_stopped();
        wait::until("the terminal is restored", || top.is_restored());
        top.signal(Signal::CONT);
        wait::until("it fills the terminal again", || top.is_full_screen());
    }
    top.wait_for("WORKER");
    top.press("q");
    assert!(top.wait().success());
}

#[test]
fn it_goes_on_when_flupd_is_started_anew() {
    let dir = temp_dir();
    let control = dir.path().join("control");
    let serve = || {
        let control = control.to_str().unwrap();
        let flupd = Serve::app(&app("stuck.py")).args(["--control", control]).on_fastcgi();
        flupd.wait_for_log("ready");
        flupd
    };
    let mut command = flupd::command();
    command.args(["top", "--interval", "0.2", "--control"]).arg(&control);
    let first = serve();
    let mut top = Terminal::start(&command, (120, 24));
    top.wait_for("ready");
    drop(first);
    top.wait_for("no flupd");
    let second = serve();
    let _stuck = ask(&second, "/in_sleep");
    top.wait_for("GET /in_sleep");
    wait::until("the trouble is over", || !top.text().contains("no flupd"));
    top.press("q");
    assert!(top.wait().success());
}

#[test]
fn it_fits_the_window_or_says_so() {
    let flupd = serve();
    let mut top = Terminal::start(&command(&flupd), (40, 10));
    top.wait_for("flupd top needs 72 columns and 12 lines");
    top.resize(160, 50);
    top.wait_for("WORKER");
    top.press("h");
    top.wait_for("where the selected request is");
    top.press("\x1b");
    wait::until("the page is left", || !top.text().contains("where the selected"));
    top.press("\x1b");
    assert!(top.wait().success());
}

#[test]
fn without_a_terminal_it_prints_a_table() {
    let flupd = serve();
    let _stuck = ask(&flupd, "/in_sleep?x=1");
    let mut printed = String::new();
    wait::until("the request is there", || {
        let output = command(&flupd).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        printed = String::from_utf8(output.stdout).unwrap();
        printed.contains("GET /in_sleep?x=1")
    });
    assert!(printed.starts_with("APP "), "{printed}");
    assert!(printed.contains("\nWORKER "), "{printed}");
    assert!(!printed.contains('\x1b'), "{printed}");
    let nobody = flupd::command().args(["top", "--control", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("no flupd has its control socket"));
}
