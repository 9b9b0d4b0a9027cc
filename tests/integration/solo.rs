//! Solo mode, where it differs from workers behind a gateway: what ends the app
//! ends its connections, and signals come while the app is at work. What it has
//! in common with them, the cases in `servers` see.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::fcgi::{self, Answer, KEEP_CONN};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(file: &str) -> Serve {
    Serve::app(&app(file)).args(["--solo"])
}

/// Asks on a connection that stays open; `None` if it is closed instead.
fn ask(stream: &mut UnixStream, method: &str, target: &str) -> Option<Answer> {
    stream.write_all(&fcgi::request(1, KEEP_CONN, method, target, b"")).ok()?;
    Answer::read(stream, 1).ok().filter(|answer| answer.end.is_some())
}

/// The process that serves this connection.
fn pid(stream: &mut UnixStream) -> i32 {
    ask(stream, "GET", "/pid").unwrap().body().parse().unwrap()
}

/// Waits for a process that answers, other than this one.
fn expect_another(flupd: &Flupd, before: i32) {
    wait::until("another process answers", || {
        let Ok(mut stream) = UnixStream::connect(flupd.socket()) else { return false };
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        ask(&mut stream, "GET", "/pid").is_some_and(|answer| answer.body() != before.to_string())
    });
}

fn is_closed(stream: &mut UnixStream) -> bool {
    // A reset is an end as well.
    stream.read(&mut [0; 8]).unwrap_or(0) == 0
}

/// A crash is nobody else's: the connections of its process end, nothing is done
/// twice, and the log tells the cause.
#[test]
fn a_crash_ends_the_connections_of_its_process_only() {
    for (crash, cause) in [("/segfault", "SIGSEGV"), ("/os-exit", "7")] {
        let flupd = serve("wrong.py").on_fastcgi();
        let (mut crashes, mut idle) = (flupd.connect(), flupd.connect());
        let before = pid(&mut crashes);
        assert_eq!(pid(&mut idle), before);
        // A GET, which behind a gateway would be repeated.
        assert!(ask(&mut crashes, "GET", crash).is_none(), "{crash}");
        assert!(is_closed(&mut idle), "{crash}");
        expect_another(&flupd, before);
        let log = flupd.log();
        let died: Vec<_> = log.lines().filter(|line| line.contains("worker died")).collect();
        assert!(matches!(died[..], [one] if one.contains(cause)), "{crash}:\n{log}");
    }
}

#[test]
fn a_crash_leaves_the_other_processes_alone() {
    let flupd = serve("wrong.py").args(["--workers", "2"]).on_fastcgi();
    let mut first = flupd.connect();
    let before = pid(&mut first);
    let mut other = None;
    // The kernel gives a connection to whichever process accepts it.
    wait::until("both processes have a connection", || {
        let mut streams: Vec<_> = (0..8).map(|_| flupd.connect()).collect();
        other = streams.iter_mut().position(|s| pid(s) != before).map(|at| streams.remove(at));
        other.is_some()
    });
    let mut other = other.unwrap();
    let survivor = pid(&mut other);
    assert!(ask(&mut first, "POST", "/segfault").is_none());
    assert_eq!(pid(&mut other), survivor);
}

/// The request that calls it and those behind it are answered 502, and none of
/// them is begun by the process that leaves.
#[test]
fn sys_exit_answers_what_waits() {
    let flupd = serve("wrong.py").on_fastcgi();
    let mut stream = flupd.connect();
    let before = pid(&mut stream);
    let exit = fcgi::request(1, KEEP_CONN, "GET", "/sys-exit", b"");
    let behind = fcgi::request(2, KEEP_CONN, "GET", "/pid", b"");
    stream.write_all(&[exit, behind].concat()).unwrap();
    let mut answers = [Answer::default(), Answer::default()];
    while let Some(record) = fcgi::next(&mut stream).unwrap() {
        answers[usize::from(record.id) - 1].take(record);
    }
    drop(stream);
    for answer in answers {
        assert!(answer.text().starts_with("Status: 502"), "{}", answer.text());
    }
    flupd.wait_for_log("sys.exit(3)");
    expect_another(&flupd, before);
}

/// What is raised through the app is a failure of that request, not of its
/// process.
#[test]
fn an_interrupt_that_the_app_raises_is_an_exception() {
    let flupd = serve("wrong.py").on_fastcgi();
    let mut stream = flupd.connect();
    let before = pid(&mut stream);
    let answer = ask(&mut stream, "GET", "/keyboard-interrupt").unwrap();
    assert!(answer.text().starts_with("Status: 500"), "{}", answer.text());
    flupd.wait_for_log("KeyboardInterrupt");
    assert_eq!(pid(&mut stream), before);
}

/// A request is inside the app when this returns; it ends when the gate appears.
fn held(flupd: &Flupd) -> (UnixStream, std::path::PathBuf) {
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", &target, b"")).unwrap();
    wait::until_exists(&started);
    (stream, gate)
}

/// Both have come by the time that the process looks: the first one's answer does not
/// wait for the second one's.
#[test]
fn an_answer_waits_for_no_request_behind_it() {
    let flupd = serve("waiting.py").on_fastcgi();
    let (mut quick, mut long) = (flupd.connect(), flupd.connect());
    let process = pid(&mut quick);
    assert_eq!(pid(&mut long), process);
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let hold = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let solo = Pid::from_raw(process).unwrap();
    kill_process(solo, Signal::STOP).unwrap();
    for (stream, target) in [(&mut quick, "/pid"), (&mut long, &*hold)] {
        stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", target, b"")).unwrap();
    }
    kill_process(solo, Signal::CONT).unwrap();
    assert_eq!(Answer::read(&mut quick, 1).unwrap().body(), process.to_string());
    wait::until_exists(&started);
    fs::write(gate, "").unwrap();
    assert_eq!(Answer::read(&mut long, 1).unwrap().body(), "held\n");
}

/// Requests that nobody waits for any more stand before one that somebody waits for. The
/// last one took its time, so that they are staged and not run as they are read.
#[test]
fn who_waits_behind_those_who_left_is_answered() {
    let flupd = serve("waiting.py").on_fastcgi();
    let mut stays = flupd.connect();
    let process = Pid::from_raw(pid(&mut stays)).unwrap();
    let slow = format!("/order?n=0&file={}", flupd.file("order").display());
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        // Connections that it knows already are heard before those that it has to accept.
        let mut leave: Vec<_> = (0..6).map(|_| flupd.connect()).collect();
        leave.iter_mut().for_each(|leaves| drop(ask(leaves, "GET", &slow).unwrap()));
        kill_process(process, Signal::STOP).unwrap();
        for mut leaves in leave {
            leaves.write_all(&fcgi::request(1, KEEP_CONN, "GET", &slow, b"")).unwrap();
        }
        stays.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/pid", b"")).unwrap();
        kill_process(process, Signal::CONT).unwrap();
        let begun = Instant::now();
        let answer = Answer::read(&mut stays, 1).unwrap();
        assert_eq!(answer.body(), process.as_raw_nonzero().to_string());
        quickest = quickest.min(begun.elapsed());
    }
    // Timers that have nothing to do with it ended the wait within seconds.
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");
}

/// The app waits for room that the answer before its own takes, when the client of that
/// one goes: there is room then, although nothing of its own answer can be sent yet.
#[test]
fn room_comes_when_the_client_before_leaves() {
    let flupd = serve("answers.py").on_fastcgi();
    for size in [6, 8, 11, 12, 13, 20].map(|blocks| blocks * 65536) {
        let target = format!("/download?size={size}");
        for round in 0..20 {
            let (mut leaves, mut stays) = (flupd.connect(), flupd.connect());
            for stream in [&mut leaves, &mut stays] {
                stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", &target, b"")).unwrap();
            }
            // It goes after another part of its answer each time.
            let _ = leaves.read(&mut vec![0; 1 + round * 16_000]).unwrap();
            drop(leaves);
            assert_eq!(Answer::read(&mut stays, 1).unwrap().body().len(), size);
        }
    }
}

/// The interpreter is free while the process waits for requests.
#[test]
fn threads_of_the_app_run_between_requests() {
    let flupd = serve("waiting.py").on_fastcgi();
    let mut stream = flupd.connect();
    let (gate, left) = (flupd.file("gate"), flupd.file("left"));
    let target = format!("/beside?gate={}&left={}", gate.display(), left.display());
    assert_eq!(ask(&mut stream, "GET", &target).unwrap().body(), "beside\n");
    fs::write(gate, "").unwrap();
    wait::until_exists(&left);
}

/// While the app works its process hears nothing: the stop waits for the answer.
#[test]
fn sigterm_lets_the_running_request_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut flupd = serve("waiting.py").on_fastcgi();
        let mut idle = flupd.connect();
        pid(&mut idle);
        let (mut running, gate) = held(&flupd);
        flupd.signal(signal);
        wait::until("the listening socket is gone", || !flupd.socket().exists());
        assert!(flupd.is_running());
        fs::write(gate, "").unwrap();
        let answer = Answer::read(&mut running, 1).unwrap();
        assert_eq!((answer.body().as_str(), answer.end), ("held\n", Some((0, 0))));
        for stream in [running, idle] {
            fcgi::expect_end(stream);
        }
        assert_eq!(flupd.wait().code(), Some(0), "{}", flupd.log());
        assert!(!flupd.log().contains("Traceback"), "{}", flupd.log());
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut flupd = serve("waiting.py").on_fastcgi();
    let (mut running, _gate) = held(&flupd);
    flupd.signal(Signal::TERM);
    wait::until("the first signal is heard", || !flupd.socket().exists());
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(1));
    assert!(is_closed(&mut running));
}

#[test]
fn a_killed_supervisor_leaves_nobody_behind() {
    let mut flupd = serve("waiting.py").on_fastcgi();
    let (mut running, _gate) = held(&flupd);
    flupd.signal(Signal::KILL);
    flupd.wait();
    assert!(is_closed(&mut running), "the app was killed in the middle of its request");
}

/// The app's own signal handlers run in its process, with the next request.
#[test]
fn a_signal_handler_of_the_app_runs() {
    let flupd = serve("handler.py").on_fastcgi();
    let mut stream = flupd.connect();
    let heard = |stream: &mut UnixStream| ask(stream, "GET", "/heard").unwrap().body();
    let before = pid(&mut stream);
    assert_eq!(heard(&mut stream), "0");
    kill_process(Pid::from_raw(before).unwrap(), Signal::USR2).unwrap();
    wait::until("the handler has run", || heard(&mut stream) == "1");
    assert_eq!(pid(&mut stream), before);
}

/// A client that leaves before its answer is sent takes no other one's along, which
/// stands behind it in the ring; nor does the process wait for room for ever.
#[test]
fn who_leaves_takes_no_other_answer_along() {
    const LONG: usize = 700_000;
    let flupd = serve("beside.py").on_fastcgi();
    for round in 0..20 {
        let file = |name: &str| flupd.file(&format!("{name}{round}"));
        let ask_for = |target: &str| {
            let mut stream = flupd.connect();
            stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
            stream
        };
        let held = |name: &str, length: usize| {
            let (started, gate) = (file(&format!("started-{name}")), file(&format!("gate-{name}")));
            let (from, to) = (started.display(), gate.display());
            let stream = ask_for(&format!("/?started={from}&gate={to}&length={length}"));
            (stream, started, gate)
        };
        let running = |started: &std::path::Path| wait::until("it runs", || started.exists());
        let open = |gate| fs::write(gate, "").unwrap();

        // Both requests have come when the process can look: they run one after the other.
        let (mut first, started, gate) = held("first", 6);
        running(&started);
        let leaves = ask_for("/");
        let (mut long, started, long_gate) = held("long", LONG);
        open(gate);
        running(&started);
        drop(leaves);
        open(long_gate);
        let answer = Answer::read(&mut long, 1).unwrap();
        assert_eq!((answer.body().len(), answer.end), (LONG, Some((0, 0))));
        assert_eq!(Answer::read(&mut first, 1).unwrap().body().len(), 6);
    }
}

/// To those that are started later as well.
#[test]
fn the_log_level_is_told_to_each_worker() {
    let flupd = serve("answers.py").args(["--log-level", "error"]).on_fastcgi();
    let told = || flupd.log().matches("the first line of wsgi.errors").count();
    let ask = || {
        let mut stream = flupd.connect();
        ask(&mut stream, "GET", "/errors").is_some_and(|answer| answer.body() == "told\n")
    };
    assert!(ask());
    let output = flupd.order(&["log-level", "warn"]);
    assert!(output.status.success(), "{output:?}");
    wait::until("a warning is logged", || ask() && told() > 0);
    assert_eq!(flupd.log().matches("worker died").count(), 0);

    let [_, worker] = flupd.tree()[..] else { panic!("{:?}", flupd.tree()) };
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    flupd.wait_for_log("worker died");
    let before = told();
    wait::until("another worker logs it", || ask() && told() > before);
}

#[test]
fn the_access_log_names_the_worker() {
    let flupd = serve("wrong.py").args(["--workers", "2", "--access-log", "-"]).on_fastcgi();
    let of = |worker: u32| format!(" worker={worker} ");
    wait::until("both have answered", || {
        let mut streams: Vec<_> = (0..8).map(|_| flupd.connect()).collect();
        streams.iter_mut().for_each(|stream| assert!(pid(stream) > 0));
        let log = flupd.log();
        [1, 2].into_iter().all(|worker| log.contains(&of(worker)))
    });
}
