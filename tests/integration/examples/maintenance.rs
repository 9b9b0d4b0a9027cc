//! A page of the web server's own while flupd is stopped.

use std::fs;

use rustix::process::Signal;

use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;

fn expect_page(name: &str) {
    let serve = Serve::app(&app("answers.py"));
    let dir = serve.dir().to_owned();
    fs::create_dir(dir.join("public")).unwrap();
    // lighttpd has a page for each status.
    for page in ["maintenance.html", "503.html"] {
        fs::write(dir.join("public").join(page), "back soon\n").unwrap();
    }
    let mut site = Example::open(name).site(&dir).in_front_of(serve);
    assert_eq!(site.get("/hello").text(), "hello\n");

    // The app's own answers pass, whatever their status.
    let answer = site.get("/status?status=503");
    assert_eq!((answer.status, answer.text().as_str()), (503, "said by the app\n"));

    site.flupd.signal(Signal::TERM);
    site.flupd.wait();
    let answer = site.get("/hello");
    assert_eq!((answer.status, answer.text().as_str()), (503, "back soon\n"));
}

#[test]
fn nginx() {
    expect_page("nginx-examples/maintenance.conf");
}

#[test]
fn apache() {
    expect_page("apache-examples/maintenance.conf");
}

#[test]
fn lighttpd() {
    expect_page("lighttpd-examples/maintenance.conf");
}

#[test]
fn haproxy() {
    expect_page("haproxy-examples/maintenance.cfg");
}

#[test]
fn caddy() {
    expect_page("caddy-examples/maintenance.caddyfile");
}
