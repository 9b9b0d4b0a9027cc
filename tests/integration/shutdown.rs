//! How flupd ends.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use rustix::process::{Signal, test_kill_process};

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

/// A request is inside the app when this returns; it ends when `gate` appears.
fn held(flupd: &Flupd) -> (std::os::unix::net::UnixStream, std::path::PathBuf) {
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until_exists(&started);
    (stream, gate)
}

fn serve() -> Serve {
    Serve::app(&app("waiting.py"))
}

/// None of these processes is left.
fn expect_gone(tree: &[i32]) {
    for &pid in tree {
        wait::until(&format!("process {pid} ends"), || {
            // A zombie whose parent has not looked yet has ended too.
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        });
    }
}

#[test]
fn running_request_is_finished() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut flupd = serve().on_fastcgi();
        let (mut stream, gate) = held(&flupd);
        let tree = flupd.tree();
        assert!(tree.len() >= 3, "supervisor, gateway and a worker: {tree:?}");
        flupd.signal(signal);
        wait::until("the listening socket is closed", || {
            std::os::unix::net::UnixStream::connect(flupd.socket()).is_err()
        });
        assert!(flupd.is_running());
        fs::write(gate, "").unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert_eq!((answer.body().as_str(), answer.end), ("held\n", Some((0, 0))));
        assert_eq!(flupd.wait().code(), Some(0));
        expect_gone(&tree);
        assert!(!flupd.log().contains("Traceback"), "{}", flupd.log());
    }
}

/// A request that waits in the queue when the signal comes was accepted, so it
/// is answered.
#[test]
fn waiting_request_is_finished() {
    let mut flupd = serve().args(["--threads", "1"]).on_fastcgi();
    let (mut running, gate) = held(&flupd);
    let mut waiting = flupd.connect();
    waiting.write_all(&fcgi::request(1, 0, "GET", "/pid", b"")).unwrap();
    // Its connection is accepted once a later one is answered something.
    let mut probe = flupd.connect();
    let ask = fcgi::pairs(&[("FCGI_MPXS_CONNS", "")]);
    probe.write_all(&fcgi::record(fcgi::GET_VALUES, 0, &ask)).unwrap();
    assert!(fcgi::next(&mut probe).unwrap().is_some());

    flupd.signal(Signal::TERM);
    fs::write(gate, "").unwrap();
    assert_eq!(Answer::read(&mut running, 1).unwrap().body(), "held\n");
    assert!(Answer::read(&mut waiting, 1).unwrap().end.is_some());
    fcgi::expect_end(probe);
    assert_eq!(flupd.wait().code(), Some(0));
}

/// The kernel has accepted them, and nobody else comes for them.
#[test]
fn who_waits_in_the_kernel_is_answered() {
    for mode in [&["--threads", "1"][..], &["--solo"]] {
        let mut flupd = serve().args(mode).on_fastcgi();
        let (mut running, gate) = held(&flupd);
        let mut waiting: Vec<_> = (0..150).map(|_| flupd.connect()).collect();
        for stream in &mut waiting {
            stream.write_all(&fcgi::request(1, 0, "GET", "/pid", b"")).unwrap();
        }
        flupd.signal(Signal::TERM);
        fs::write(gate, "").unwrap();
        assert_eq!(Answer::read(&mut running, 1).unwrap().body(), "held\n");
        for (nth, stream) in waiting.iter_mut().enumerate() {
            let answer = Answer::read(stream, 1).unwrap();
            assert_eq!(answer.end, Some((0, 0)), "{mode:?}, {nth}: {}", flupd.log());
        }
        assert_eq!(flupd.wait().code(), Some(0));
    }
}

/// From the moment on at which the socket is there, a signal ends flupd in order.
#[test]
fn signal_during_start() {
    for _ in 0..10 {
        let mut flupd = serve().on_fastcgi();
        flupd.signal(Signal::TERM);
        assert_eq!(flupd.wait().code(), Some(0));
        assert!(!flupd.socket().exists());
    }
}

#[test]
fn idle_kept_connection_does_not_delay_the_end() {
    let mut flupd = serve().on_fastcgi();
    let mut kept = flupd.connect();
    kept.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", "/pid", b"")).unwrap();
    assert!(Answer::read(&mut kept, 1).unwrap().end.is_some());
    let mut silent = flupd.connect();
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    assert_eq!(kept.read(&mut [0; 8]).unwrap(), 0, "closed");
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0, "closed");
}

#[test]
fn second_signal_ends_at_once() {
    let mut flupd = serve().on_fastcgi();
    let (_stream, _gate) = held(&flupd);
    let tree = flupd.tree();
    flupd.signal(Signal::TERM);
    wait::until("the first signal is heard", || {
        std::os::unix::net::UnixStream::connect(flupd.socket()).is_err()
    });
    flupd.signal(Signal::TERM);
    // Well under the graceful timeout of 30 s, which is also the deadline here.
    flupd.wait();
    expect_gone(&tree);
}

#[test]
fn graceful_timeout() {
    let mut flupd = serve().args(["--graceful-timeout", "1"]).on_fastcgi();
    let (_stream, _gate) = held(&flupd);
    let tree = flupd.tree();
    flupd.signal(Signal::TERM);
    flupd.wait();
    expect_gone(&tree);
    assert!(!Path::new(&flupd.socket()).exists());
}

/// A supervisor that is killed has no chance to clean up; nobody must be left.
#[test]
fn killed_supervisor_leaves_nobody_behind() {
    let mut flupd = serve().on_fastcgi();
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/pid", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    let tree = flupd.tree();
    assert!(tree.len() >= 3, "supervisor, gateway and a worker: {tree:?}");
    flupd.signal(Signal::KILL);
    flupd.wait();
    expect_gone(&tree);
    assert!(test_kill_process(flupd.pid()).is_err());
}

/// The gateway parses what peers send. Should it die of that, the supervisor
/// still holds the listening sockets, and a new gateway goes on with them.
#[test]
fn killed_gateway_is_replaced() {
    let flupd = serve().on_fastcgi();
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/pid", b"")).unwrap();
    let worker: i32 = Answer::read(&mut stream, 1).unwrap().body().parse().unwrap();
    let supervisor = flupd.pid().as_raw_nonzero().get();
    let gateway = flupd.tree().into_iter().find(|&pid| pid != worker && pid != supervisor);
    let gateway = rustix::process::Pid::from_raw(gateway.unwrap()).unwrap();
    rustix::process::kill_process(gateway, Signal::KILL).unwrap();
    wait::until("requests are answered again", || {
        let Ok(mut stream) = std::os::unix::net::UnixStream::connect(flupd.socket()) else {
            return false;
        };
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let sent = stream.write_all(&fcgi::request(1, 0, "GET", "/pid", b""));
        sent.is_ok() && Answer::read(&mut stream, 1).is_ok_and(|answer| answer.end.is_some())
    });
}
