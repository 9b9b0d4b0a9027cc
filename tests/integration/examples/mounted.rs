//! An app below a prefix of a site that has more.

use std::fs;

use crate::harness::apache::open_to_www_data;
use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::Site;
use crate::harness::http::Request;

/// Boots the example over a site with a file of its own.
fn site(name: &str) -> Site {
    let serve = Serve::app(&app("echo.py"));
    let dir = serve.dir().to_owned();
    fs::create_dir(dir.join("public")).unwrap();
    fs::write(dir.join("public/page.txt"), "a page\n").unwrap();
    open_to_www_data(&dir);
    let example = Example::open(name);
    let has_files = example.text().contains("/srv/mysite/public");
    let site = if has_files { example.site(&dir) } else { example }.in_front_of(serve);
    if has_files {
        assert_eq!(site.get("/page.txt").text(), "a page\n", "the rest of the site");
    }
    site
}

fn expect_mounted(name: &str) {
    let site = site(name);
    for (target, path) in [
        ("/shop/", "/"),
        ("/shop/cart?x=1", "/cart"),
        ("/shop/shop/", "/shop/"),
        ("/shop/gr%C3%BC%C3%9Fe%20x", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e x"),
    ] {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "/shop", "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
    }
    // Without a slash: the app itself, or a redirect to it.
    let answer = site.get("/shop");
    if answer.status == 301 {
        assert!(answer.header("Location").unwrap().ends_with("/shop/"));
    } else {
        let told = answer.json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "/shop");
        assert_eq!(told["environ"]["PATH_INFO"], "");
    }
    for outside in ["/", "/shopping", "/cart"] {
        let answer = site.send(&Request::get(outside));
        assert!(!answer.text().contains("wsgi."), "{outside} reached the app");
    }
}

#[test]
fn nginx() {
    expect_mounted("nginx-examples/mounted.conf");
}

#[test]
fn lighttpd() {
    expect_mounted("lighttpd-examples/mounted.conf");
}

#[test]
fn apache() {
    expect_mounted("apache-examples/mounted.conf");
}

#[test]
fn haproxy() {
    expect_mounted("haproxy-examples/mounted.cfg");
}

#[test]
fn caddy() {
    expect_mounted("caddy-examples/mounted.caddyfile");
}

#[test]
fn h2o() {
    expect_mounted("h2o-examples/mounted.conf");
}
