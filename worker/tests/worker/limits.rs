//! Requests that have had their time.

use std::time::{Duration, Instant};

use flupd_channel::gateway::Body;
use flupd_channel::{Outcome, Phase};

use crate::support::{Answer, Gateway, Python, Start, params, pythons};

fn send(worker: &mut Gateway, port: usize, place: &str) {
    worker.send(port, &params("GET", &format!("/{place}"), 0), &Body::Memory(Vec::new()));
}

/// Waits until the app runs the request in front.
fn running(worker: &Gateway, port: usize) {
    while worker.ports[port].phase() != Phase::App {
        std::thread::sleep(Duration::from_millis(1));
    }
    // A little further, to where it stays.
    std::thread::sleep(Duration::from_millis(20));
}

/// What comes of a request whose time is over once it runs, and how soon.
fn limited(worker: &mut Gateway, port: usize, place: &str) -> (Answer, Duration) {
    send(worker, port, place);
    running(worker, port);
    let begun = Instant::now();
    worker.limit(port, worker.ports[port].number());
    (worker.receive(port), begun.elapsed())
}

fn is_504(answer: &Answer) -> bool {
    let whole = answer.outcome == Some(Outcome::Complete);
    whole
        && answer.head.starts_with("Status: 504 Gateway Timeout\r\n")
        && answer.text() == "Gateway Timeout\n"
}

#[test]
fn on_the_main_thread_it_ends_waiting_too() {
    for python in pythons() {
        let mut worker = Start::app("stuck").ready(python);
        for place in ["in_loop", "in_sleep", "in_recv", "in_lock", "in_regex", "catches_all"] {
            let (answer, took) = limited(&mut worker, 0, place);
            assert!(is_504(&answer), "{python}: {place}: {answer:?}");
            assert!(took < Duration::from_secs(20), "{python}: {place}: {took:?}");
            assert_eq!(worker.get("/hello").text(), "hello", "{python}: after {place}");
        }
        let (answer, _) = limited(&mut worker, 0, "answers");
        let text = "BaseException: the request has had its time";
        assert_eq!(answer.text(), text, "{python}: the app's own answer");
        let (status, stdout, stderr) = worker.leave();
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
    }
}

#[test]
fn with_several_threads_it_ends_python_code_and_spares_the_siblings() {
    for python in pythons() {
        let mut worker = Start::app("stuck").threads(4).ready(python);
        send(&mut worker, 1, "refuses");
        for place in ["in_loop", "in_loop"] {
            let (answer, took) = limited(&mut worker, 3, place);
            assert!(is_504(&answer), "{python}: {place}: {answer:?}");
            assert!(took < Duration::from_secs(20), "{python}: {place}: {took:?}");
        }
        assert!(
            limited(&mut worker, 2, "answers").0.text().starts_with("BaseException"),
            "{python}"
        );
        assert_eq!(worker.receive(1).text(), "refused", "{python}");
        let (status, stdout, stderr) = worker.leave();
        assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
    }
}

/// After the head the answer is cut, and `close()` is called as ever.
#[test]
fn an_answer_that_has_begun_is_cut() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            let (answer, _) = limited(&mut worker, 0, "begins");
            assert_eq!((answer.text(), answer.outcome), ("begun", Some(Outcome::Cut)), "{python}");
            assert_eq!(answer.logged(), "", "{python}");
            assert_eq!(worker.leave().1, "closed\n", "{python}");
        }
    }
}

#[test]
fn an_app_may_go_on() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            assert_eq!(limited(&mut worker, 0, "refuses").0.text(), "refused", "{python}");
        }
    }
}

/// What comes again was lost, or was obeyed: then it is obeyed no more.
#[test]
fn an_order_that_comes_again_is_obeyed_once() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            send(&mut worker, 0, "counts");
            running(&worker, 0);
            let number = worker.ports[0].number();
            for _ in 0..20 {
                worker.limit(0, number);
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(worker.receive(0).text(), "1", "{python}, {threads} threads");
        }
    }
}

/// An order for a request that has just ended hits neither the next one nor flupd.
#[test]
fn an_order_that_comes_too_late_hits_nobody() {
    for python in pythons() {
        for threads in [1, 2] {
            let mut worker = Start::app("stuck").threads(threads).ready(python);
            let mut hit = 0;
            for round in 0..400 {
                let number = worker.ports[0].number();
                send(&mut worker, 0, "short");
                // At any moment of the request, or after it.
                let pause = Duration::from_micros(round % 40 * 10);
                let begun = Instant::now();
                while begun.elapsed() < pause {}
                worker.limit(0, number);
                hit += usize::from(right(&worker.receive(0), python));
                assert!(!right(&worker.get("/short"), python), "{python}: the next one was hit");
            }
            let (status, stdout, stderr) = worker.leave();
            assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
            println!("{python}, {threads} threads: {hit} of 400 were hit");
        }
    }
}

/// Whether the request was ended; else it must have come to its own answer.
fn right(answer: &Answer, python: &Python) -> bool {
    let ended = is_504(answer);
    assert!(ended || answer.text() == "2000", "{python}: {answer:?}");
    ended
}
