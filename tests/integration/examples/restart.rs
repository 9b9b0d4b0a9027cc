//! flupd is stopped and started again: the web server notices at once.

use rustix::process::Signal;

use super::several::Place;
use crate::harness::example::Example;
use crate::harness::front::Server;
use crate::harness::http::Request;
use crate::harness::{apache, ports, temp_dir, wait};

fn expect_service_after_a_restart(name: &str) {
    let (server, example) = (Server::of(name), Example::open(name));
    let dir = temp_dir();
    apache::open_to_www_data(dir.path());
    let (place, example) = if example.text().contains("unix:/run/flupd/app.sock") {
        let socket = dir.path().join("app.sock");
        let example = example.socket(&socket);
        (Place::Socket(socket), example)
    } else {
        let port = ports::free();
        (Place::Port(port), example.port(port))
    };
    let mut flupd = place.start(server);
    let web = example.boot();
    let status = || Request::get("/hello").send(web.address()).unwrap().status;
    assert_eq!(status(), 200);

    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    assert!(matches!(status(), 502 | 503));
    drop(flupd);
    let _flupd = place.start(server);
    if server == Server::Lighttpd {
        // It leaves a flupd that was not there alone for a second (disable-time).
        wait::until("lighttpd asks again", || status() == 200);
    }
    for _ in 0..10 {
        assert_eq!(status(), 200);
    }
}

#[test]
fn nginx() {
    expect_service_after_a_restart("nginx-examples/fastcgi-keepconn.conf");
}

#[test]
fn lighttpd() {
    expect_service_after_a_restart("lighttpd-examples/fastcgi.conf");
}

#[test]
fn apache() {
    expect_service_after_a_restart("apache-examples/fastcgi.conf");
}

#[test]
fn apache_reuse() {
    expect_service_after_a_restart("apache-examples/fastcgi-reuse.conf");
}

#[test]
fn haproxy() {
    expect_service_after_a_restart("haproxy-examples/fastcgi.cfg");
}

#[test]
fn caddy() {
    expect_service_after_a_restart("caddy-examples/fastcgi.caddyfile");
}

#[test]
fn h2o() {
    expect_service_after_a_restart("h2o-examples/fastcgi.conf");
}
