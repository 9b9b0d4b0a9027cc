//! `environ["flupd.cancelled"]`.

use flupd_channel::gateway::Body;
use flupd_channel::{LogLevel, Outcome};

use crate::support::{Answer, Reply, Start, Worker, params, pythons};

/// Sends a request and waits for the first part of its body.
fn begin(worker: &mut Worker, path: &str) -> String {
    worker.send(0, &params("GET", path, 0), &Body::Memory(Vec::new()));
    loop {
        if let Reply::Body(part) = worker.reply(0).unwrap() {
            return String::from_utf8(part).unwrap();
        }
    }
}

/// The rest of a request whose client goes.
fn cancel(worker: &mut Worker) -> Answer {
    worker.cancel(0);
    worker.receive(0)
}

fn expect_quiet_end(worker: &mut Worker) {
    let (status, _, stderr) = worker.leave();
    assert_eq!((status.code(), &*stderr), (Some(0), ""));
}

#[test]
fn an_app_that_asks_is_told() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        // Who only asks needs no thread.
        assert_eq!(begin(&mut worker, "/asks"), "(False, ['MainThread'])", "{python}");
        let answer = cancel(&mut worker);
        assert_eq!((answer.outcome, &*answer.logged()), (Some(Outcome::Cut), ""), "{python}");
        expect_quiet_end(&mut worker);
    }
}

#[test]
fn callbacks_run_in_a_thread_of_their_own() {
    for python in pythons() {
        for (threads, main) in [(1, "'MainThread', 'flupd-cancel'"), (2, "'flupd-2'")] {
            let mut worker = Start::app("cancelled").threads(threads).ready(python);
            for _ in 0..2 {
                begin(&mut worker, "/waits");
                let answer = cancel(&mut worker);
                assert_eq!(answer.logged(), "", "{python}");
                let told = worker.get("/what_was_called");
                let expected = "([('first', 'flupd-cancel', True), 'over'], ";
                assert!(told.text().starts_with(expected), "{python}: {}", told.text());
                assert!(told.text().contains(main), "{python}: {}", told.text());
            }
            expect_quiet_end(&mut worker);
        }
    }
}

#[test]
fn a_callback_that_fails_is_logged_and_the_next_one_is_called() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        begin(&mut worker, "/fails");
        let answer = cancel(&mut worker);
        let [(LogLevel::Error, text)] = &answer.log[..] else { panic!("{:?}", answer.log) };
        assert!(text.starts_with("a callback of on_cancel() failed\nTraceback"), "{text}");
        assert!(text.ends_with("ZeroDivisionError: division by zero"), "{text}");
        assert_eq!(worker.get("/wrong").text(), "on_cancel() takes a callable, not int");
        expect_quiet_end(&mut worker);
    }
}

/// A callback may break off what the request does; it must not reach the next one.
#[test]
fn no_callback_outlives_its_request() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        begin(&mut worker, "/leaves_one_running");
        cancel(&mut worker);
        let told = worker.get("/what_was_called");
        assert!(told.text().starts_with("(['slow'], "), "{python}: {}", told.text());

        assert_eq!(worker.get("/registers").text(), "registered");
        begin(&mut worker, "/asks");
        cancel(&mut worker);
        let told = worker.get("/what_was_called");
        assert!(told.text().starts_with("([], "), "{python}: {}", told.text());
        let told = worker.get("/keeps");
        assert_eq!(told.text(), "(True, 'the request has ended', False)", "{python}");
        expect_quiet_end(&mut worker);
    }
}

#[test]
fn a_forked_child_is_told_that_it_is_not_its_request() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        assert_eq!(worker.get("/child").text(), "0", "{python}");
    }
}

#[test]
fn a_callback_can_exit() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        begin(&mut worker, "/exits");
        cancel(&mut worker);
        assert_eq!(worker.ended().0.code(), Some(6), "{python}");
    }
}

/// What is given up before the worker begins it never reaches the app.
#[test]
fn a_request_that_nobody_waits_for_is_not_begun() {
    for python in pythons() {
        let mut worker = Start::app("cancelled").ready(python);
        begin(&mut worker, "/asks");
        for path in ["/registers", "/what_was_called"] {
            worker.send(0, &params("GET", path, 0), &Body::Memory(Vec::new()));
        }
        worker.ports[0].cancel(1);
        assert_eq!(cancel(&mut worker).outcome, Some(Outcome::Cut));
        let unbegun = worker.receive(0);
        assert_eq!((unbegun.outcome, &*unbegun.head), (Some(Outcome::Cut), ""), "{python}");
        assert_eq!(worker.receive(0).text(), "([], ['MainThread'])", "{python}");
    }
}
