//! How many connections a web server holds to flupd.

use std::fs;
use std::io::Read;
use std::thread;
use std::time::Duration;

use crate::harness::ability::Ability;
use crate::harness::front::Front;
use crate::harness::http::{Request, is_cut};
use crate::harness::wait;

on_servers! { core: kept_connections; routed: multiplexed, one_gives_up_beside_another,
one_is_cut_beside_another, a_slow_reader_beside_others; }

/// Whether connections stay when nothing is going on.
fn kept_connections(front: Front) {
    let site = front.serve("answers.py");
    site.flupd.wait_for_log("ready");
    let before = site.flupd.resting_sockets();
    for _ in 0..5 {
        assert_eq!(site.get("/hello").text(), "hello\n");
    }
    if front.can(Ability::KeptConnections) {
        assert!(site.flupd.sockets() > before, "no connection is kept");
    } else {
        wait::until("all connections are closed", || site.flupd.sockets() <= before);
    }
}

/// Eight requests at a time, which all wait for the same.
fn multiplexed(front: Front) {
    let site = &front.serve("waiting.py");
    site.flupd.wait_for_log("ready");
    let before = site.flupd.resting_sockets();
    let gate = &site.flupd.file("gate");
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for n in 0..8 {
            let started = site.flupd.file(&format!("started-{n}"));
            let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
            clients.push(scope.spawn(move || site.get(&target).text()));
            // There are two app threads; the others wait in flupd's queue.
            if n < 2 {
                wait::until_exists(&started);
            }
        }
        // HAProxy opens a connection for each of its own threads, at most.
        let few = before + thread::available_parallelism().unwrap().get().min(4);
        if front.can(Ability::Multiplexing) {
            assert!(site.flupd.sockets() <= few, "more than a connection a thread");
        } else {
            wait::until("each has a connection", || site.flupd.sockets() >= before + 8);
        }
        fs::write(gate, "").unwrap();
        for client in clients {
            assert_eq!(client.join().unwrap(), "held\n");
        }
    });
}

/// A client hangs up (ABORT_REQUEST behind HAProxy, on a connection that both may
/// share), and the answer of another goes on.
fn one_gives_up_beside_another(front: Front) {
    let site = front.serve("waiting.py");
    let (gate, closed) = (site.flupd.file("gate"), site.flupd.file("closed"));
    let request = Request::get(&format!("/stream?gate={}", gate.display()));
    let mut stays = request.open(site.web.address()).unwrap();
    assert_eq!(stays.line().unwrap(), "first\n");

    let request = Request::get(&format!("/endless?closed={}", closed.display()));
    let mut leaves = request.open(site.web.address()).unwrap();
    leaves.read_exact(&mut [0; 100_000]).unwrap();
    leaves.hang_up();
    wait::until_exists(&closed);

    fs::write(gate, "").unwrap();
    assert_eq!(stays.line().unwrap(), "second\n");
    assert_eq!(stays.line().unwrap(), "", "the end");
}

/// An app fails after its head: its client sees that, where it can be told, and on a
/// connection that they share nobody else does.
fn one_is_cut_beside_another(front: Front) {
    let site = front.serve("every.py");
    let (gate, fails) = (site.flupd.file("gate"), site.flupd.file("fails"));
    let request = Request::get(&format!("/stream?gate={}", gate.display()));
    let mut stays = request.open(site.web.address()).unwrap();
    assert_eq!(stays.line().unwrap(), "first\n");

    let request = Request::get(&format!("/raises-late?gate={}", fails.display()));
    let mut cut = request.open(site.web.address()).unwrap();
    assert_eq!(cut.line().unwrap(), "begun\n");
    fs::write(fails, "").unwrap();
    match cut.read_to_end(&mut Vec::new()) {
        Err(error) => assert!(front.can(Ability::CutAnswers) && is_cut(&error), "{error}"),
        Ok(_) => assert!(!front.can(Ability::CutAnswers), "a cut answer passed as whole"),
    }
    for _ in 0..5 {
        assert_eq!(site.get("/hello").text(), "hello\n");
    }
    fs::write(gate, "").unwrap();
    assert_eq!(stays.line().unwrap(), "second\n");
    assert_eq!(stays.line().unwrap(), "", "the end");
}

/// A client that reads nothing of an answer without end holds up nobody, but on a
/// connection that it shares: there HAProxy reads no more until that client does.
fn a_slow_reader_beside_others(front: Front) {
    let site = front.serve("every.py");
    let closed = site.flupd.file("closed");
    let request = Request::get(&format!("/endless?closed={}", closed.display()));
    let mut slow = request.open(site.web.address()).unwrap();
    if front.can(Ability::Multiplexing) {
        slow.read_exact(&mut [0; 10_000]).unwrap();
        thread::sleep(Duration::from_millis(300));
        thread::scope(|scope| {
            let others: Vec<_> = (0..5).map(|_| scope.spawn(|| site.get("/hello"))).collect();
            slow.hang_up();
            for other in others {
                assert_eq!(other.join().unwrap().text(), "hello\n");
            }
        });
        return wait::until_exists(&closed);
    }
    for _ in 0..2 {
        slow.read_exact(&mut [0; 10_000]).unwrap();
        // Until all that is between the app and the client is full.
        thread::sleep(Duration::from_millis(300));
        for _ in 0..10 {
            assert_eq!(site.get("/hello").text(), "hello\n");
        }
    }
    slow.hang_up();
    wait::until_exists(&closed);
}
