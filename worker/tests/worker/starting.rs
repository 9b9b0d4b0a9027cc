//! Workers start, serve and leave.

use crate::support::{Start, pythons};
use flupd_channel::Outcome;
use flupd_channel::startup::WorkerStatus;

#[test]
fn a_worker_starts_answers_and_leaves() {
    for python in pythons() {
        let (mut worker, status) = Start::app("hello:application").on(python);
        let app = "hello:application".to_owned();
        assert_eq!(status, WorkerStatus::Ready { python: python.version.clone(), app });
        for path in ["/a", "/b"] {
            let answer = worker.get(path);
            assert_eq!(answer.outcome, Some(Outcome::Complete), "{python}: {answer:?}");
            let head = "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n";
            assert_eq!(answer.head, head);
            assert_eq!(answer.text(), format!("Hello, {path}\n"));
            assert!(answer.log.is_empty() && answer.errors.is_empty());
        }
        let (status, stdout, stderr) = worker.leave();
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
    }
}
