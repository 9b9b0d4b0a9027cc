//! Requests to a script, whoever has started it.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::sync::Mutex;
use std::thread;

use super::way::Way;
use crate::harness::digest::{Blocks, blocks, sha256};
use crate::harness::http::Request;

in_ways! { the_environ_is_right, large_bodies, many_clients, errors_are_logged, parts_go_out_at_once }

fn the_environ_is_right(way: Way) {
    let site = way.serve();
    for (target, path) in [("/", "/"), ("/a%20b/c", "/a b/c"), ("/gr%C3%BC", "/gr\u{c3}\u{bc}")] {
        let told = site.get(&format!("{target}?q=1")).json();
        let environ = &told["environ"];
        assert_eq!(environ["SCRIPT_NAME"], "");
        assert_eq!(environ["PATH_INFO"], path);
        assert_eq!(environ["QUERY_STRING"], "q=1");
        assert_eq!(environ["wsgi.multiprocess"], true);
        assert_eq!(environ["wsgi.multithread"], way == Way::LighttpdWorkers);
        assert_eq!(environ["wsgi.run_once"], way.is_cgi());
    }
}

fn large_bodies(way: Way) {
    let site = way.serve();
    let (expected, length) = sha256(&mut Blocks::new(160)).unwrap();
    let told = site.send(&Request::post("/", blocks(160))).json();
    assert_eq!(
        (told["body_length"].as_u64(), &told["body_sha256"]),
        (Some(length), &expected.clone().into())
    );
    for known in ["", "&known"] {
        let request = Request::get(&format!("/download?size={length}{known}"));
        let mut answer = request.open(site.web.address()).unwrap();
        assert_eq!(sha256(&mut answer).unwrap(), (expected.clone(), length));
    }
}

/// Everyone gets the answer to its own question, and more than one process works.
fn many_clients(way: Way) {
    let site = &way.serve();
    let seen = &Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                for n in 0..if way.is_cgi() { 3 } else { 40 } {
                    let token = format!("{client}-{n}");
                    let body = format!("body of {token}, {}", "x".repeat(n * 37));
                    let request = Request::post(&format!("/repeat?token={token}"), body.as_str());
                    let answer = site.send(&request);
                    assert_eq!(answer.status, 200, "{token}");
                    assert_eq!(answer.text(), format!("{token}|{body}"));
                    seen.lock().unwrap().insert(site.pid());
                }
            });
        }
    });
    match way {
        // As many as it wants.
        Way::Fcgid | Way::FcgidWrapper => assert!(seen.lock().unwrap().len() > 1),
        way if way.is_cgi() => assert_eq!(seen.lock().unwrap().len(), 24),
        _ => assert_eq!(seen.lock().unwrap().len(), 2),
    }
}

fn errors_are_logged(way: Way) {
    let site = way.serve();
    let answer = site.get("/raises");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("Mishap"), "{answer:?}");
    assert_eq!(site.get("/errors").text(), "told\n");
    // What spawn-fcgi starts has no standard error; nginx logs what FastCGI tells.
    if way != Way::SpawnFcgi {
        site.wait_for_log("Mishap: before the head");
    }
    site.wait_for_log("the first line of wsgi.errors");
}

fn parts_go_out_at_once(way: Way) {
    let site = way.serve();
    let gate = site.script.file("gate");
    let request = Request::get(&format!("/stream?gate={}", gate.display()));
    let mut answer = request.open(site.web.address()).unwrap();
    let mut first = [0; 6];
    answer.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first\n");
    fs::write(&gate, "").unwrap();
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second\n");
}
