//! Signal handlers of the app, set at import.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Start, Worker, pythons};

fn send(worker: &Worker, signal: Signal) {
    kill_process(Pid::from_raw(worker.pid().cast_signed()).unwrap(), signal).unwrap();
}

/// It was lost once: the handler ran within the formatting of a traceback.
#[test]
fn an_exit_during_a_traceback_is_obeyed() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("signals").threads(threads).ready(python);
            send(&worker, Signal::ALARM);
            let (status, _, stderr) = worker.ended();
            assert_eq!(status.code(), Some(6), "{python}: {stderr}");
            assert!(stderr.starts_with("a signal handler failed\nTraceback"), "{python}: {stderr}");
            assert!(stderr.contains("ValueError: interrupted while"), "{python}: {stderr}");
        }
    }
}

#[test]
fn handlers_run_while_the_worker_is_idle() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("signals").threads(threads).ready(python);
            send(&worker, Signal::USR1);
            let deadline = Instant::now() + Duration::from_secs(30);
            while worker.get("/handled").text() != "1" {
                assert!(Instant::now() < deadline, "{python}: {threads} threads");
                std::thread::sleep(Duration::from_millis(5));
            }
            // A handler that raises has nothing to interrupt.
            send(&worker, Signal::HUP);
            // Ctrl-C reaches all of flupd; the supervisor says what it means.
            send(&worker, Signal::INT);
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(worker.get("/handled").text(), "1", "{python}");
            send(&worker, Signal::USR2);
            let (status, _, stderr) = worker.ended();
            assert_eq!(status.code(), Some(6), "{python}: sys.exit in a handler is obeyed");
            assert!(stderr.starts_with("handled\na signal handler failed\n"), "{python}: {stderr}");
            assert!(stderr.contains("ValueError: from a handler"), "{python}: {stderr}");
        }
    }
}
