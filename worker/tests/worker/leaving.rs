//! Exits, forks, clients and gateways that go.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use flupd_channel::gateway::Body;
use flupd_channel::{ChannelError, Outcome};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Reply, Start, Worker, params, pythons};

#[test]
fn an_exit_is_obeyed_with_its_code() {
    for python in pythons() {
        for (case, code, body, outcome, stderr) in [
            ("/exits", 3, "", Outcome::Exit, ""),
            ("/exits_plainly", 0, "", Outcome::Exit, ""),
            ("/exits_with_text", 1, "", Outcome::Exit, "the reason\n"),
            ("/exits_in_body", 4, "begun", Outcome::Exit, ""),
            ("/exits_in_close", 5, "whole", Outcome::Exit, ""),
        ] {
            let mut worker = Start::app("leaving").ready(python);
            let answer = worker.get(case);
            assert_eq!((answer.text(), answer.outcome), (body, Some(outcome)), "{python}: {case}");
            assert_eq!(answer.head.is_empty(), body.is_empty(), "{python}: {case}");
            let logged = answer.logged();
            assert!(logged.contains(&format!("sys.exit({code})")), "{python}: {logged}");
            assert!(matches!(worker.reply(0), Err(ChannelError::Closed)));
            let (status, stdout, errors) = worker.ended();
            assert_eq!((status.code(), &*errors), (Some(code), stderr), "{python}: {case}");
            assert_eq!(stdout, "atexit ran\n", "{python}: the interpreter ends in order");
        }
    }
}

#[test]
fn a_crash_leaves_its_traces() {
    for python in pythons() {
        let mut worker = Start::app("leaving").ready(python);
        let answer = worker.get("/crashes");
        assert_eq!((&*answer.errors, answer.outcome), ("last words\n", None), "{python}");
        let (status, _, stderr) = worker.ended();
        assert_eq!(status.signal(), Some(11), "{python}");
        assert!(stderr.contains("Segmentation fault"), "{python}: {stderr}");
        assert!(stderr.contains("leaving.py\", line"), "{python}: {stderr}");

        let mut worker = Start::app("leaving").ready(python);
        assert_eq!(worker.get("/leaves_at_once").outcome, None);
        assert_eq!(worker.ended().0.code(), Some(8), "{python}");
    }
}

#[test]
fn the_other_threads_finish_what_they_run() {
    for python in pythons() {
        let mut worker = Start::app("leaving").threads(3).ready(python);
        worker.send(1, &params("GET", "/slow", 0), &Body::Memory(Vec::new()));
        std::thread::sleep(Duration::from_millis(100));
        worker.send(0, &params("GET", "/exits", 0), &Body::Memory(Vec::new()));
        assert_eq!(worker.receive(0).outcome, Some(Outcome::Exit));
        // The idle thread leaves at once, while the other still runs.
        assert!(matches!(worker.reply(2), Err(ChannelError::Closed)));
        let answer = worker.receive(1);
        assert_eq!(answer.text(), "slow but whole", "{python}");
        assert_eq!(answer.outcome, Some(Outcome::Complete));
        let (status, stdout, stderr) = worker.ended();
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(3), "atexit ran\n", ""));
    }
}

#[test]
fn forked_children_never_reach_the_gateway() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("leaving").threads(threads).ready(python);
            for (case, body) in [
                ("/child", "child left with 0"),
                ("/child_raises", "child left with 1"),
                ("/child_exits", "child left with 7"),
                ("/child_in_body", "begun, child left with 0"),
                ("/child_writes", "child left with 9"),
            ] {
                let answer = worker.get(case);
                assert_eq!(answer.text(), body, "{python}: {case}: {}", answer.logged());
                assert_eq!(answer.errors, "", "{python}: {case}");
                assert_eq!(answer.outcome, Some(Outcome::Complete));
            }
            let (status, stdout, stderr) = worker.leave();
            assert_eq!((status.code(), &*stdout), (Some(0), "atexit ran\n"), "{python}");
            // 3.12 warns of forks in a process of several threads.
            assert!(stderr.contains("a child's word\n"), "{python}: {stderr}");
            assert!(stderr.contains("ValueError: in the child"), "{python}: {stderr}");
        }
    }
}

#[test]
fn a_child_that_stays_does_not_keep_ports_open() {
    for python in pythons() {
        let mut worker = Start::app("leaving").threads(2).ready(python);
        let child = worker.get("/child_stays").text().parse().ok().and_then(Pid::from_raw).unwrap();
        assert_eq!(worker.get("/exits").outcome, Some(Outcome::Exit));
        for port in 0..2 {
            assert!(matches!(worker.reply(port), Err(ChannelError::Closed)));
        }
        // It lives: its copies of them kept nothing open.
        kill_process(child, Signal::KILL).unwrap();
        assert_eq!(worker.ended().0.code(), Some(3), "{python}");
    }
}

#[test]
fn a_client_that_goes_ends_the_iteration() {
    for python in pythons() {
        let mut worker = Start::app("leaving").ready(python);
        for (case, closed) in [("/ticks", "ticks"), ("/writes", "BrokenPipeError")] {
            begin(&mut worker, case);
            worker.cancel(0);
            let answer = worker.receive(0);
            assert_eq!(answer.outcome, Some(Outcome::Cut), "{python}: {case}");
            assert_eq!(answer.logged(), "", "{python}: {case}: no fault of the app");
            assert_eq!(worker.get("/closed").text(), closed, "{python}: {case}");
        }
    }
}

#[test]
fn a_gateway_that_goes_ends_the_worker() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("leaving").threads(threads).ready(python);
            begin(&mut worker, "/ticks");
            let before = Instant::now();
            let (status, stdout, stderr) = worker.leave();
            assert!(before.elapsed() < Duration::from_secs(10), "{python}");
            assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "atexit ran\n", ""));
        }
    }
}

/// Sends a request and waits for the first part of its body.
fn begin(worker: &mut Worker, case: &str) {
    worker.send(0, &params("GET", case, 0), &Body::Memory(Vec::new()));
    loop {
        if matches!(worker.reply(0).unwrap(), Reply::Body(_)) {
            return;
        }
    }
}
