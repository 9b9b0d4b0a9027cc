//! Requests that take too long: what is logged of them, how they end, and that
//! their neighbours don't notice.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::{app, wait};

/// Both ways to start a worker that has a gateway in front.
const MODES: [&[&str]; 2] = [&[], &["--preload"]];

fn serve(threads: &str, mode: &[&str]) -> Serve {
    Serve::app(&app("stuck.py")).args(["--threads", threads]).args(mode)
}

fn get(flupd: &Flupd, target: &str) -> Answer {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    Answer::read(&mut stream, 1).unwrap()
}

fn status(answer: &Answer) -> u16 {
    let head = answer.text();
    head.strip_prefix("Status: ").and_then(|head| head.get(..3)?.parse().ok()).unwrap_or(0)
}

fn pid(flupd: &Flupd) -> String {
    get(flupd, "/pid").body()
}

fn is_alive(pid: &str) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

/// The place in the app where this case stays, as the log names it.
fn place(case: &str) -> String {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    let line =
        source.lines().position(|line| line.ends_with(&format!("# HERE {case}"))).unwrap() + 1;
    format!("stuck.py\", line {line}, in {case}")
}

/// A request that waits for its gate in the app, and answers with its process id.
struct Held {
    gate: std::path::PathBuf,
    thread: Option<thread::JoinHandle<Answer>>,
}

impl Held {
    fn start(flupd: &Flupd) -> Self {
        let (started, gate) = (flupd.file("started"), flupd.file("gate"));
        let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
        let thread = thread::spawn(move || Answer::read(&mut stream, 1).unwrap());
        wait::until_exists(&started);
        Self { gate, thread: Some(thread) }
    }

    fn answer(mut self) -> Answer {
        fs::write(&self.gate, "").unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = fs::write(&self.gate, "");
    }
}

/// One that only takes long is logged, with the line where it is, and answered.
#[test]
fn slow_request() {
    for mode in MODES {
        let args = ["--slow-request", "0.2", "--log-format", "json"];
        let mut flupd = serve("2", mode).args(args).on_fastcgi();
        let held = Held::start(&flupd);
        flupd.wait_for_log("slow request");
        assert_eq!(status(&held.answer()), 200);
        assert_eq!(status(&get(&flupd, "/pid")), 200);
        flupd.signal(Signal::TERM);
        flupd.wait();
        let log = flupd.log();
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let slow: Vec<_> = lines.iter().filter(|line| line["message"] == "slow request").collect();
        let [line] = &*slow else { panic!("once: {log}") };
        assert!(line["request"].as_str().unwrap().starts_with("GET /hold?"), "{line}");
        assert!((200..5000).contains(&line["age_ms"].as_u64().unwrap()), "{line}");
        assert_eq!(line["phase"], "in the app");
        let frames: Vec<&str> = line["frames"].as_str().unwrap().lines().collect();
        assert!(frames.last().unwrap().contains("waiting.py"), "the innermost last: {line}");
        assert!(frames[1].ends_with("in application"), "flupd's own are left out: {line}");
    }
}

/// Python code is ended, its worker and the other requests inside go on.
#[test]
fn a_loop_is_ended_and_its_siblings_go_on() {
    for mode in MODES {
        let args = ["--request-timeout", "2", "--slow-request", "1"];
        let flupd = serve("4", mode).args(args).on_fastcgi();
        let before = pid(&flupd);
        thread::scope(|scope| {
            let looping = scope.spawn(|| get(&flupd, "/in_loop"));
            flupd.wait_for_log("slow request");
            // It has a second more than the first.
            let held = Held::start(&flupd);
            let answer = looping.join().unwrap();
            assert_eq!(status(&answer), 504, "{}", answer.text());
            let answer = held.answer();
            assert_eq!((status(&answer), answer.body()), (200, before.clone()));
        });
        flupd.wait_for_log(&place("in_loop"));
        assert_eq!(pid(&flupd), before, "the worker is the same");
    }
}

/// With one thread whatever waits is ended, too.
#[test]
fn waiting_is_ended_on_one_thread() {
    for mode in MODES {
        // Nobody here waits until the grace is over.
        let args = ["--request-timeout", "0.3", "--request-grace", "300"];
        let flupd = serve("1", mode).args(args).on_fastcgi();
        let before = pid(&flupd);
        for case in ["in_sleep", "in_recv", "in_lock", "in_loop"] {
            assert_eq!(status(&get(&flupd, &format!("/{case}"))), 504, "{case}");
            flupd.wait_for_log(&place(case));
        }
        assert_eq!(pid(&flupd), before, "the worker is the same");
        assert!(!flupd.log().contains("does not end"), "{}", flupd.log());
    }
}

/// The order comes right after the question where the request is. A signal that comes
/// at the end of another one's handler ends no system call, so it must come again.
#[test]
fn no_order_is_lost() {
    for mode in [&[][..], &["--preload"], &["--solo"]] {
        let args = ["--request-timeout", "0.02", "--request-grace", "300"];
        let serve = Serve::app(&app("stuck.py")).args(mode).args(args);
        let serve = if mode == ["--solo"] { serve } else { serve.args(["--threads", "1"]) };
        let flupd = serve.on_fastcgi();
        for round in 0..60 {
            let answer = get(&flupd, "/in_lock");
            assert_eq!(status(&answer), 504, "{mode:?}, {round}: {}", answer.text());
        }
    }
}

/// What can't be ended costs the worker, but not the requests beside it: another
/// worker is ready before it gets no more, and it ends after the last of them.
#[test]
fn a_worker_is_replaced_once_its_other_requests_are_done() {
    for mode in MODES {
        let args = ["--request-timeout", "3", "--request-grace", "0.2"];
        let flupd = serve("3", mode).args(args).on_fastcgi();
        let before = pid(&flupd);
        let stuck = thread::scope(|scope| {
            let stuck = scope.spawn(|| get(&flupd, "/in_sleep"));
            flupd.wait_for_log("GET /in_sleep");
            // Begun when the first has had its time: it has 3 s left.
            let held = Held::start(&flupd);
            wait::until("another worker answers", || pid(&flupd) != before);
            assert!(is_alive(&before), "a request runs there");
            let answer = held.answer();
            assert_eq!((status(&answer), answer.body()), (200, before.clone()));
            stuck.join().unwrap()
        });
        assert_eq!(status(&stuck), 504, "{}", stuck.text());
        wait::until("the stuck worker is gone", || !is_alive(&before));
        flupd.wait_for_log(&place("in_sleep"));
        flupd.wait_for_log("worker left");
        let log = flupd.log();
        assert!(log.contains("another worker is started in its place"), "{log}");
        assert!(!log.contains("worker died"), "{log}");
    }
}

/// A worker that does nothing else any more is killed at once: also when it keeps
/// the interpreter, and when it catches everything.
#[test]
fn a_worker_in_which_nothing_moves_is_killed() {
    for mode in MODES {
        for (threads, case) in [("1", "in_c"), ("4", "in_c"), ("1", "catches_all")] {
            let args = ["--request-timeout", "0.3", "--request-grace", "0.3"];
            let site = Front::NginxFastcgi.serve_with(serve(threads, mode).args(args));
            let before = site.get("/pid").text();
            let answer = site.get(&format!("/{case}"));
            assert_eq!(answer.status, 504, "{case}: {answer:?}");
            wait::until("another worker answers", || {
                let answer = site.get("/pid");
                answer.status == 200 && answer.text() != before
            });
            wait::until("the stuck worker is gone", || !is_alive(&before));
            if case == "in_c" {
                site.flupd.wait_for_log(&place(case));
            }
        }
    }
}

/// After the head no 504 can be sent: the answer is cut.
#[test]
fn an_answer_that_has_begun_is_cut() {
    for (threads, grace) in [("1", "5"), ("2", "0.2")] {
        let args = ["--request-timeout", "0.3", "--request-grace", grace];
        let flupd = serve(threads, &[]).args(args).on_fastcgi();
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", "/begun", b"")).unwrap();
        let error = Answer::read(&mut stream, 1).err();
        assert!(error.is_some(), "{threads} threads: it has no end");
        wait::until("the next one is answered", || status(&get(&flupd, "/pid")) == 200);
    }
}

/// Who waits too long for a thread is told so, and nobody else.
#[test]
fn queue_timeout() {
    let flupd = serve("1", &[]).args(["--queue-timeout", "0.3"]).on_fastcgi();
    // The start of the app counts as well.
    wait::until("the app has started", || status(&get(&flupd, "/pid")) == 200);
    let held = Held::start(&flupd);
    let begun = Instant::now();
    let answer = get(&flupd, "/pid");
    assert_eq!(status(&answer), 503);
    assert!(answer.text().contains("Retry-After: 1\r\n"), "{}", answer.text());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    flupd.wait_for_log("--queue-timeout");
    assert_eq!(status(&held.answer()), 200, "what runs is not waiting");
    assert_eq!(status(&get(&flupd, "/pid")), 200);
}

/// What a worker was doing, and had done, is known after any death.
#[test]
fn flight_recorder() {
    for (mode, signal) in [(MODES[0], "SIGKILL"), (MODES[1], "SIGKILL"), (MODES[0], "SIGSEGV")] {
        let flupd = serve("2", mode).on_fastcgi();
        let pid: i32 = pid(&flupd).parse().unwrap();
        assert_eq!(status(&get(&flupd, "/pid?second")), 200);
        let held = Held::start(&flupd);
        if signal == "SIGSEGV" {
            get(&flupd, "/segfault");
        } else {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
        flupd.wait_for_log("worker died");
        let log = flupd.log();
        let died = log.lines().find(|line| line.contains("worker died")).unwrap();
        for part in
            [signal, "GET /hold?", "(in the app, ", "GET /pid: 200 in ", "; GET /pid?second: 200"]
        {
            assert!(died.contains(part), "{part}: {died}");
        }
        drop(held);
    }
}

/// The file says limits for all apps; one has none, and its own time to leave.
#[test]
fn an_app_has_the_limits_of_all_or_its_own() {
    let app = app("waiting.py");
    let flupd = Serve::config(&format!(
        "request-timeout = 0.5\n[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.short]\napp = {app:?}\nworkers = 1\nthreads = 1\nprefix = \"/short\"\n\
         [apps.long]\napp = {app:?}\nworkers = 1\nthreads = 1\nprefix = \"/long\"\n\
         request-timeout = \"off\"\ngraceful-timeout = 0.5\n"
    ))
    .on_its_socket();
    flupd.wait_for_workers(2);
    let asks = |app: &str| {
        let (started, gate) = (flupd.file(app), flupd.file("gate"));
        let target = format!("/{app}/hold?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        // A GET would be given to the next worker.
        stream.write_all(&fcgi::request(1, 0, "POST", &target, b"")).unwrap();
        wait::until_exists(&started);
        stream
    };
    let mut held = asks("long");
    let over = Answer::read(&mut asks("short"), 1).unwrap().text();
    assert!(over.starts_with("Status: 504"), "{over}");
    // It has run for longer than that by now, and ends when its worker has to leave.
    assert!(flupd.order(&["reload"]).status.success());
    let cut = Answer::read(&mut held, 1).unwrap().text();
    assert!(cut.starts_with("Status: 502"), "{cut}");
    flupd.wait_for_log("the time for running requests of the old generation is over");
}
