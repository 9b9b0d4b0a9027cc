//! Where a thread is, asked while it does anything but answer.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use flupd_channel::gateway::Body;
use flupd_channel::probe::Frame;

use crate::support::{Gateway, Python, Start, apps, params, pythons};

/// Long enough that a request has come to the line where it stays.
const SETTLE: Duration = Duration::from_millis(50);

/// What an answer may take. It takes less than a millisecond on an idle machine.
const PROMPT: Duration = Duration::from_millis(100);

/// One that keeps the interpreter is the last of its four.
const PLACES: [&str; 9] = [
    "in_loop",
    "in_sleep",
    "in_recv",
    "in_c",
    "in_lock",
    "in_recursion",
    "in_body",
    "in_regex",
    "in_close",
];

/// Longer than any answer takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The lines that are marked in the app.
fn marked() -> HashMap<String, u32> {
    let source = std::fs::read_to_string(apps().join("stuck.py")).unwrap();
    let lines = source.lines().zip(1..);
    lines.filter_map(|(line, at)| Some((line.split_once("# HERE ")?.1.to_owned(), at))).collect()
}

fn send(worker: &mut Gateway, port: usize, place: &str) {
    worker.send(port, &params("GET", &format!("/{place}"), 0), &Body::Memory(Vec::new()));
}

/// Asks until the thread has come to its place; the last answer is prompt.
fn found(worker: &mut Gateway, thread: usize, place: &str, python: &Python) -> Vec<Frame> {
    let line = marked()[place];
    let begun = Instant::now();
    loop {
        std::thread::sleep(SETTLE);
        let asked = Instant::now();
        let frames =
            worker.frames(thread, PATIENCE).unwrap_or_else(|e| panic!("{python}: {place}: {e}"));
        let took = asked.elapsed();
        let here = |frame: &&Frame| frame.file.ends_with("/stuck.py");
        if frames.iter().find(here).is_some_and(|frame| frame.line == line) && took < PROMPT {
            return frames;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{python}: {place}: {took:?}: {frames:?}"
        );
    }
}

#[test]
fn a_stuck_thread_names_its_line() {
    for python in pythons() {
        for threads in [1, 4] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            let places: &[_] = match threads {
                1 => &["in_loop", "in_sleep", "in_c", "in_regex"],
                _ => &PLACES,
            };
            for (at, place) in places.iter().enumerate() {
                // One that has the interpreter for itself has it for all.
                if at > 0 && at % threads == 0 {
                    worker = Start::app("stuck").threads(threads).ready(python);
                }
                send(&mut worker, at % threads, place);
                let frames = found(&mut worker, at % threads, place, python);
                // CPython leaves out what is deeper than 100 frames; bodies are called by flupd.
                let own = matches!(*place, "in_recursion" | "in_body" | "in_close");
                let outermost = if own { "/stuck.py" } else { "/dispatch.py" };
                assert!(frames.last().unwrap().file.ends_with(outermost), "{python}: {frames:?}");
            }
        }
    }
}

#[test]
fn every_thread_is_told_from_its_siblings_while_one_holds_the_interpreter() {
    for python in pythons() {
        let mut worker = Start::app("stuck").threads(5).ready(python);
        let places = ["in_sleep", "in_recv", "in_lock", "in_c"];
        // The last thread has begun before another keeps the interpreter.
        send(&mut worker, 4, "hello");
        assert_eq!(worker.receive(4).text(), "hello", "{python}");
        for (port, place) in places.iter().enumerate() {
            send(&mut worker, port, place);
            found(&mut worker, port, place, python);
        }
        for (port, place) in places.iter().enumerate() {
            found(&mut worker, port, place, python);
        }
        assert_eq!(worker.frames(4, PATIENCE).unwrap(), [], "{python}: it has no request");
        assert_eq!(worker.frames(5, SETTLE).unwrap_err().kind(), ErrorKind::TimedOut, "{python}");
    }
}

#[test]
fn a_forked_worker_answers_as_any_other() {
    for python in pythons() {
        for threads in [1, 2] {
            let start = Start::app("stuck").threads(threads);
            let (mut zygote, _) = start.zygote(python);
            let mut worker = zygote.worker(threads);
            send(&mut worker, threads - 1, "in_sleep");
            found(&mut worker, threads - 1, "in_sleep", python);
        }
    }
}

/// Questions in a row change nothing in what the app does.
#[test]
fn questions_disturb_no_answer() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            for _ in 0..3 {
                send(&mut worker, 0, "busy");
                for n in 0..20 {
                    let asked = worker.frames(0, PATIENCE);
                    assert!(asked.is_ok(), "{python}: {threads} threads, {n}: {asked:?}");
                }
                assert_eq!(worker.receive(0).text(), "499500", "{python}");
            }
            let (status, stdout, stderr) = worker.leave();
            assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
        }
    }
}
