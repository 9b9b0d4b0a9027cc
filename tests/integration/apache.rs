//! Apache httpd with mod_proxy_fcgi: params in several records, bodies in small
//! pieces, and another idea of SCRIPT_NAME.

use crate::harness::digest::{Blocks, blocks, sha256};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::{Site, WebServer};
use crate::harness::http::Request;
use crate::harness::{apache, app, ports};

fn serve(name: &str, directives: impl FnOnce(&str) -> String) -> Site {
    let address = format!("127.0.0.1:{}", ports::free());
    let mut flupd: Flupd = Serve::app(&app(name)).args(["--fastcgi", &address]).start();
    flupd.wait_until_accepting(&address);
    let web: WebServer = apache::start(&directives(&address));
    Site { web, flupd }
}

fn expect_paths(site: &Site) {
    for (target, path) in [
        ("/", "/"),
        ("/plain", "/plain"),
        ("/a%20b", "/a b"),
        ("/a+b", "/a+b"),
        ("/semi;colon=1", "/semi;colon=1"),
        ("/gr%C3%BC%C3%9Fe", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e"),
    ] {
        let told = site.get(&format!("{target}?q=1")).json();
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
        assert_eq!(told["environ"]["SCRIPT_NAME"], "", "{target}");
        assert_eq!(told["environ"]["QUERY_STRING"], "q=1", "{target}");
    }
}

#[test]
fn proxy_pass() {
    expect_paths(&serve("echo.py", |address| format!("ProxyPass / fcgi://{address}/")));
}

#[test]
fn proxy_pass_with_reuse() {
    let directives = |address: &str| format!("ProxyPass / fcgi://{address}/ enablereuse=on");
    expect_paths(&serve("echo.py", directives));
}

#[test]
fn set_handler() {
    let directives = |address: &str| {
        format!("<Location />\nSetHandler \"proxy:fcgi://{address}/\"\n</Location>")
    };
    expect_paths(&serve("echo.py", directives));
}

#[test]
fn uploads() {
    let site = serve("echo.py", |address| format!("ProxyPass / fcgi://{address}/"));
    let (expected, length) = sha256(&mut Blocks::new(160)).unwrap();
    for request in [
        Request::post("/", blocks(160)),
        // No CONTENT_LENGTH: the body ends where the stream ends.
        Request::new("POST", "/").chunked(blocks(160).chunks(40_009).map(<[u8]>::to_vec).collect()),
    ] {
        let told = site.send(&request).json();
        assert_eq!(told["body_length"], length);
        assert_eq!(told["body_sha256"], expected);
    }
}
