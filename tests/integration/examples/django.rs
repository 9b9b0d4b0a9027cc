//! The demo's Django site behind each web server that serves files.

use std::fs;

use crate::frameworks::{Browser, csrf_token, django};
use crate::harness::source;

/// Pages come from the app, static files from the web server, and forms work.
fn expect_site(name: &str) {
    let site = django(name);
    let mut browser = Browser::default();
    let page = browser.get(&site, "/").text();
    assert!(page.contains("/static/guestbook/style.css"), "{page}");
    let file = site.get("/static/guestbook/style.css");
    let text = source("demo/djangosite/guestbook/static/guestbook/style.css");
    assert!(file.header("Content-Type").unwrap().starts_with("text/css"));
    assert_eq!((file.status, file.body), (200, fs::read(text).unwrap()));

    let entry = [("name", "Zo%C3%AB"), ("text", "Gr%C3%BC%C3%9Fe+from+a+test")];
    let form = [&entry[..], &[("csrfmiddlewaretoken", csrf_token(&page))]].concat();
    let answer = browser.post(&site, "/", &form);
    assert_eq!(answer.status, 302, "{}", answer.text());
    let page = browser.get(&site, "/").text();
    assert!(page.contains("Zoë") && page.contains("Grüße from a test"), "{page}");

    // A file that is not there is no matter for Python.
    assert_eq!(site.get("/static/no-such-file").status, 404);
    assert!(!site.flupd.log().contains("no-such-file"), "{}", site.flupd.log());
    assert_eq!(site.get("/no-such-page").status, 404);
}

#[test]
fn nginx() {
    expect_site("nginx-examples/django.conf");
}

#[test]
fn lighttpd() {
    expect_site("lighttpd-examples/django.conf");
}

#[test]
fn apache() {
    expect_site("apache-examples/django.conf");
}

#[test]
fn caddy() {
    expect_site("caddy-examples/django.caddyfile");
}

#[test]
fn h2o() {
    expect_site("h2o-examples/django.conf");
}
