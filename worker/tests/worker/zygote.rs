//! The zygote: one import, many workers.

use std::os::unix::process::ExitStatusExt;

use flupd_channel::Outcome;
use flupd_channel::gateway::Body;
use flupd_channel::startup::{WorkerStatus, ZygoteStatus};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Python, Start, Zygote, params, pythons};

fn ready(app: &str, python: &Python) -> Zygote {
    let (zygote, status) = Start::app(app).zygote(python);
    let app = format!("{app}:application");
    let version = python.version.clone();
    assert_eq!(status, ZygoteStatus::Ready { python: version, app, threads: vec![] }, "{python}");
    zygote
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn forked_workers_are_as_those_that_were_started() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        let names = [json!(["MainThread"]), json!(["MainThread", "flupd-1", "flupd-2"])];
        for (number, names) in names.iter().enumerate() {
            let mut worker = zygote.worker(number + 1);
            let seen: Value = serde_json::from_str(worker.get("/process").text()).unwrap();
            let expected = json!({
                "imported_by": zygote.pid(),
                "parent": zygote.pid(),
                "own_group": true,
                "children": true,
                "frozen": true,
                "title": format!("flupd: worker {} (preloaded)", number + 1),
                "parent_title": "flupd: zygote (preloaded)",
                "comm": format!("flupd: worker {}", number + 1),
                "threads": names,
                "main_thread": number == 0,
                // Not the zygote's.
                "sockets": 1,
            });
            assert_eq!(seen, expected, "{python}");
            worker.close();
            assert_eq!(zygote.buries(number as u64 + 1).code(), Some(0), "{python}");
        }
        let (status, stdout, stderr) = zygote.leave();
        // Printed once, though it was still buffered at the forks. The zygote
        // leaves the app's last words to the workers.
        let printed = "imported\natexit ran\natexit ran\n";
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), printed, ""), "{python}");
    }
}

#[test]
fn random_numbers_differ() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        let mut numbers =
            [1, 1, 2].map(|threads| zygote.worker(threads).get("/number").text().to_owned());
        numbers.sort();
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "{python}: {numbers:?}");
    }
}

#[test]
fn a_child_of_the_app_is_still_told_apart() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        let mut worker = zygote.worker(1);
        for _ in 0..2 {
            let answer = worker.get("/forks");
            assert_eq!((answer.text(), answer.outcome), ("of the parent", Some(Outcome::Complete)));
        }
    }
}

#[test]
fn a_worker_ends_with_its_lifeline_and_not_with_the_zygote() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        let mut worker = zygote.worker(1);
        worker.send(0, &params("GET", "/sleeps", 0), &Body::Memory(vec![]));
        worker.reply(0).unwrap();
        // The supervisor is killed while a request runs.
        worker.lifeline = None;
        let status = zygote.buries(1);
        assert_eq!(status.signal(), Some(9), "{python}");

        // Another one outlives the zygote.
        let mut worker = zygote.worker(2);
        zygote.kill();
        assert!(!worker.get("/number").text().is_empty(), "{python}");
        worker.lifeline = None;
        while worker.reply(0).is_ok() {}
    }
}

/// The supervisor has died between its order and the fork.
#[test]
fn a_worker_whose_lifeline_is_cut_before_its_birth_ends_at_once() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        send(zygote.pid(), Signal::STOP);
        let order = zygote.order(1);
        drop(order.lifeline);
        send(zygote.pid(), Signal::CONT);
        let status = zygote.buries(1);
        assert_eq!(status.signal(), Some(9), "{python}");
    }
}

#[test]
fn signals_mean_what_the_app_says() {
    for python in pythons() {
        let mut zygote = ready("preloaded", python);
        send(zygote.pid(), Signal::INT);
        send(zygote.pid(), Signal::USR2);
        let mut worker = zygote.worker(1);
        assert!(!worker.get("/number").text().is_empty(), "{python}");
        send(worker.pid, Signal::USR1);
        assert_eq!(zygote.buries(1).code(), Some(5), "{python}");
        send(zygote.pid(), Signal::USR1);
        let (status, _, stderr) = zygote.ended();
        assert_eq!((status.code(), &*stderr), (Some(5), "handled\n"), "{python}");
        let mut zygote = ready("preloaded", python);
        send(zygote.pid(), Signal::TERM);
        let status = zygote.ended().0;
        assert_eq!(status.signal(), Some(15), "{python}");
    }
}

#[test]
fn threads_of_the_import_are_named() {
    for python in pythons() {
        let (mut zygote, status) = Start::app("threads_at_import").zygote(python);
        let ZygoteStatus::Ready { threads, .. } = status else { panic!("{python}: {status:?}") };
        assert_eq!(threads, ["refresher", "1 not of Python's threading"], "{python}");
        assert_eq!(zygote.worker(1).get("/a").text(), "Hello, /a\n", "{python}");
        let (status, _, stderr) = zygote.leave();
        // Python's own warning at fork would come once per worker.
        assert_eq!((status.code(), &*stderr), (Some(0), ""), "{python}");
    }
}

#[test]
fn a_failed_import_is_told_with_its_traceback() {
    for python in pythons() {
        let (mut zygote, status) = Start::app("no_such_app").zygote(python);
        let ZygoteStatus::Failed { error } = status else { panic!("{python}: {status:?}") };
        assert!(error.starts_with("the module no_such_app was not found"), "{python}: {error}");
        assert_eq!(zygote.ended().0.code(), Some(1), "{python}");
    }
}

#[test]
fn a_failed_fork_is_told_and_the_zygote_goes_on() {
    for python in pythons() {
        let mut zygote = ready("no_forks", python);
        for _ in 0..2 {
            let Err(WorkerStatus::Unforked { error }) = zygote.fork(1) else { panic!("{python}") };
            assert!(error.starts_with("it can't be forked: Resource temporarily"), "{error}");
        }
        assert_eq!(zygote.leave().0.code(), Some(0), "{python}");
    }
}
