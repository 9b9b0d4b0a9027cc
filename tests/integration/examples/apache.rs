//! Apache: the ways in which users tell mod_proxy_fcgi of flupd and of the path,
//! besides the examples' own.

use std::fs;

use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::Site;
use crate::harness::http::Request;

/// Targets and the PATH_INFO of each, where the app is the whole site.
const PATHS: [(&str, &str); 5] = [
    ("/", "/"),
    ("/plain/x?q=1", "/plain/x"),
    ("/a%20b", "/a b"),
    ("/a%20b/c%2Fd", "/a b/c/d"),
    ("/gr%C3%BC%C3%9Fe", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e"),
];

/// The example with these directives besides.
fn example(name: &str, more: &str) -> Example {
    Example::open(name).with("ProxyTimeout 60\n", &format!("ProxyTimeout 60\n{more}\n"))
}

fn expect_mounted(site: &Site, prefix: &str, what: &str) {
    for (target, path) in PATHS {
        let told = site.get(&format!("{prefix}{target}")).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], prefix, "{what}: {target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{what}: {target}");
    }
}

fn expect_whole_site(more: &str) {
    let example = example("apache-examples/fastcgi.conf", more);
    expect_mounted(&example.in_front_of(Serve::app(&app("echo.py"))), "", more);
}

#[test]
fn backend_type_generic() {
    expect_whole_site("ProxyFCGIBackendType GENERIC");
}

#[test]
fn backend_type_fpm() {
    expect_whole_site("ProxyFCGIBackendType FPM");
}

#[test]
fn pathinfo_variants() {
    for how in ["1", "full", "unescape", "first-dot"] {
        expect_whole_site(&format!("SetEnvIf Request_URI . proxy-fcgi-pathinfo={how}"));
    }
    // As it is often written. It comes too late to have an effect.
    expect_whole_site("SetEnv proxy-fcgi-pathinfo 1");
}

/// Apache sends a PATH_INFO that is not decoded, and looks for it at the end of the
/// decoded path.
#[test]
fn pathinfo_is_decoded() {
    let pathinfo = "SetEnvIf Request_URI . proxy-fcgi-pathinfo=1";
    expect_whole_site(&format!("ProxyFCGIBackendType GENERIC\n{pathinfo}"));
    expect_below_shop(pathinfo);
}

/// An encoded slash stays encoded in what Apache takes the prefix off.
#[test]
fn encoded_slash_below_a_prefix() {
    expect_below_shop("");
}

fn expect_below_shop(more: &str) {
    let serve = Serve::app(&app("echo.py"));
    let example = example("apache-examples/mounted.conf", more).site(serve.dir());
    expect_mounted(&example.in_front_of(serve), "/shop", more);
}

/// Files of one kind, as it is written for php-fpm. Exactly `/app.fcgi` is not to be
/// told from a file of the app's, so this needs `--script-name`.
#[test]
fn files_match() {
    let serve = Serve::app(&app("echo.py"));
    let dir = serve.dir().to_owned();
    fs::create_dir(dir.join("public")).unwrap();
    fs::write(dir.join("public/app.fcgi"), "").unwrap();
    fs::write(dir.join("public/style.css"), "a file\n").unwrap();
    let site = Example::open("apache-examples/handler.conf")
        .with("--script-name /", "--script-name /app.fcgi")
        .with("<If \"! -f %{REQUEST_FILENAME}\">", "<FilesMatch \"\\.fcgi$\">")
        .with("</If>", "</FilesMatch>")
        .site(&dir)
        .in_front_of(serve);
    expect_mounted(&site, "/app.fcgi", "FilesMatch");
    let told = site.get("/app.fcgi?q").json();
    assert_eq!(told["environ"]["SCRIPT_NAME"], "/app.fcgi");
    assert_eq!(told["environ"]["PATH_INFO"], "");
    assert_eq!(site.get("/style.css").text(), "a file\n");
    assert_eq!(site.get("/elsewhere").status, 404);
}

/// Apache's limit is not for what it passes on.
#[test]
fn largest_upload() {
    let example = example("apache-examples/fastcgi.conf", "LimitRequestBody 1000");
    let site = example.in_front_of(Serve::app(&app("echo.py")).args(["--max-body", "100K"]));
    for (length, status) in [(5000, 200), (200_000, 413)] {
        let answer = site.send(&Request::post("/", vec![b'x'; length]));
        assert_eq!(answer.status, status, "{length}: {}", answer.text());
    }
}
