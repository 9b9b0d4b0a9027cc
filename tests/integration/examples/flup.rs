//! Programs written for flup, behind the configurations that they had.

use std::fs;

use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::{app, front::Site};

/// A script as flup's users have it: it starts the server itself when it is run.
fn site(name: &str) -> Site {
    let serve = Serve::app("app.fcgi");
    let text = fs::read_to_string(app("echo.py")).unwrap();
    let start = "\nif __name__ == \"__main__\":\n    from flup.server.fcgi import WSGIServer\n\n    WSGIServer(application).run()\n";
    fs::write(serve.dir().join("app.fcgi"), format!("#!/usr/bin/env python3\n{text}{start}"))
        .unwrap();
    Example::open(name).in_front_of(serve)
}

fn expect_whole_site(name: &str) {
    let site = site(name);
    for (target, path) in
        [("/", "/"), ("/a/b?c=d", "/a/b"), ("/gr%C3%BC%C3%9Fe", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e")]
    {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "", "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
    }
    assert_eq!(site.get("/a/b?c=d").json()["environ"]["QUERY_STRING"], "c=d");
}

#[test]
fn nginx() {
    expect_whole_site("nginx-examples/flup.conf");
}

#[test]
fn lighttpd() {
    expect_whole_site("lighttpd-examples/flup.conf");
}
