//! How many connections a web server holds to flupd.

use std::fs;
use std::io::Read;
use std::thread;

use crate::harness::ability::Ability;
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::wait;

on_servers! { core: kept_connections; routed: multiplexed, one_gives_up_beside_another; }

/// Whether connections stay when nothing is going on.
fn kept_connections(front: Front) {
    let site = front.serve("answers.py");
    site.flupd.wait_for_log("ready");
    let before = site.flupd.sockets();
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
    let before = site.flupd.sockets();
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
