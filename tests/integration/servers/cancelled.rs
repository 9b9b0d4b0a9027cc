//! `environ["flupd.cancelled"]`, and clients that do not stay for their answers.

use std::io::Read;

use crate::harness::flupd::Flupd;
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::wait;

on_servers! {
    all: an_app_that_streams_is_told;
}

/// Others do not tell of a client that has gone before they have something to write
/// to it.
mod behind_nginx {
    mod an_app_that_asks_is_told {
        on_servers!(@test an_app_that_asks_is_told: NginxFastcgi nginx_fastcgi,
            NginxKeepConn nginx_keep_conn, NginxSolo nginx_solo, NginxScgi nginx_scgi);
    }
    mod an_app_that_waits_is_called {
        on_servers!(@test an_app_that_waits_is_called: NginxFastcgi nginx_fastcgi,
            NginxKeepConn nginx_keep_conn, NginxScgi nginx_scgi);
    }
}

/// The files by which the app tells where it is.
const MARKS: [&str; 3] = ["started", "told", "closed"];

fn target(flupd: &Flupd, path: &str) -> String {
    let files = MARKS.map(|mark| format!("{mark}={}", flupd.file(mark).display()));
    format!("{path}?{}&untold={}", files.join("&"), flupd.file("untold").display())
}

fn expect_told(front: Front, path: &str) {
    let site = front.serve("cancelled.py");
    let stream = Request::get(&target(&site.flupd, path)).start(site.web.address()).unwrap();
    wait::until_exists(&site.flupd.file("started"));
    assert!(!site.flupd.file("told").exists(), "the client is still there");
    drop(stream);
    for mark in MARKS {
        wait::until_exists(&site.flupd.file(mark));
    }
    assert_eq!(site.get("/ready").text(), "ready\n");
    assert!(!site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
}

fn an_app_that_asks_is_told(front: Front) {
    expect_told(front, "/asking");
}

/// Sends nothing and asks nothing: its callback wakes it.
fn an_app_that_waits_is_called(front: Front) {
    expect_told(front, "/callback");
}

fn an_app_that_streams_is_told(front: Front) {
    let site = front.serve("cancelled.py");
    let request = Request::get(&target(&site.flupd, "/streaming"));
    let mut answer = request.open(site.web.address()).unwrap();
    answer.read_exact(&mut [0; 100_000]).unwrap();
    assert!(!site.flupd.file("told").exists(), "the client is still there");
    answer.hang_up();
    wait::until_exists(&site.flupd.file("told"));
    assert_eq!(site.get("/ready").text(), "ready\n");
}
