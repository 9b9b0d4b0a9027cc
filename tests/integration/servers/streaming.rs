//! Answers that reach the client while the app still runs, and clients that do
//! not stay for them.

use std::fs;
use std::io::Read;

use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::wait;

on_servers! {
    core: seen_before_the_app_ends, client_hangs_up_while_reading;
    routed: client_hangs_up_while_waiting;
}

/// The app sends its second line only after the test has seen the first one.
fn seen_before_the_app_ends(front: Front) {
    let site = front.serve("waiting.py");
    let gate = site.flupd.file("gate");
    let request = Request::get(&format!("/stream?gate={}", gate.display()));
    let mut answer = request.open(site.web.address()).unwrap();
    assert_eq!(answer.line().unwrap(), "first\n");
    fs::write(gate, "").unwrap();
    assert_eq!(answer.line().unwrap(), "second\n");
    assert_eq!(answer.line().unwrap(), "", "the end");
}

/// The iterable's close() is called, and the thread is free again.
fn client_hangs_up_while_reading(front: Front) {
    let site = front.serve("waiting.py");
    // More of them than there are threads: each has to be given back.
    for n in 0..3 {
        let closed = site.flupd.file(&format!("closed-{n}"));
        let request = Request::get(&format!("/endless?closed={}", closed.display()));
        let mut answer = request.open(site.web.address()).unwrap();
        answer.read_exact(&mut [0; 100_000]).unwrap();
        answer.hang_up();
        wait::until_exists(&closed);
    }
    assert_eq!(site.get("/pid").status, 200);
}

/// A client that leaves before the app has said anything: the app comes to its
/// end undisturbed, and all goes on.
fn client_hangs_up_while_waiting(front: Front) {
    let site = front.serve("waiting.py");
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let stream = Request::get(&target).start(site.web.address()).unwrap();
    wait::until_exists(&started);
    drop(stream);
    assert_eq!(site.get("/pid").status, 200);
    fs::write(gate, "").unwrap();
    for _ in 0..4 {
        assert_eq!(site.get("/pid").status, 200);
    }
    assert!(!site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
}
