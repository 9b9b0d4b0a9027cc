//! The app lets a client have a file, and the web server sends it.

use std::fs;

use crate::harness::apache::open_to_www_data;
use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::http::Request;

/// `paths`: the app tells the file by its path, and not by a URL. `file`: how it writes the
/// name of `invoice 7.txt`.
fn expect_file(name: &str, paths: bool, file: &str) {
    let serve = Serve::app(&app("answers.py"));
    let dir = serve.dir().to_owned();
    fs::create_dir(dir.join("protected")).unwrap();
    let invoice: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    fs::write(dir.join("protected/invoice 7.txt"), &invoice).unwrap();
    fs::write(dir.join("secret.txt"), "not for you\n").unwrap();
    open_to_www_data(&dir);
    let site = Example::open(name).site(&dir).in_front_of(serve);

    let root = if paths { dir.join("protected") } else { Default::default() };
    let target = |file: &str| {
        format!("/{}?file={}/{file}", if paths { "sendfile" } else { "accel" }, root.display())
    };
    let answer = site.get(&target(file));
    assert_eq!((answer.status, answer.body.len()), (200, invoice.len()), "{}", answer.text());
    assert_eq!(answer.text(), invoice);
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    for header in ["X-Sendfile", "X-Accel-Redirect"] {
        assert_eq!(answer.header(header), None, "the client learns where it is");
    }
    let part = site.send(&Request::get(&target(file)).header("Range", "bytes=2-3"));
    assert_eq!((part.status, part.text().as_str()), (206, "1\n"));
    assert!(site.get(&target("no-such.txt")).status >= 400);

    // Neither what lies elsewhere, nor by asking for it.
    let outside = site.get(&target("../secret.txt"));
    assert!(!outside.text().contains("not for you"), "{}", outside.status);
    for asked in ["/protected/invoice%207.txt", "/invoice%207.txt"] {
        // It is the app that is asked, which knows no such URL.
        assert_eq!(site.get(asked).status, 500, "{asked}");
    }
    assert_eq!(site.get("/hello").text(), "hello\n", "what is no file");
}

#[test]
fn lighttpd() {
    expect_file("lighttpd-examples/sendfile.conf", true, "invoice%25207.txt");
}

#[test]
fn apache() {
    expect_file("apache-examples/sendfile.conf", true, "invoice%207.txt");
}

#[test]
fn caddy() {
    expect_file("caddy-examples/sendfile.caddyfile", false, "invoice%207.txt");
}

#[test]
fn nginx() {
    super::nginx::accel();
}
