//! Behind another proxy: it is believed, and nobody else is.

use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::http::Request;

/// `tells_address`: the app is told of the client's address, and not of the proxy's.
fn expect_proxy_believed(name: &str, tells_address: bool) {
    let forwarded = Request::get("/x")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-Proto", "https");
    // This client is not the proxy; then it is.
    for (proxy, believed) in [("192.0.2.1", false), ("127.0.0.1", true)] {
        let example = Example::open(name).with("192.0.2.1", proxy);
        let site = example.in_front_of(Serve::app(&app("echo.py")));
        let told = site.send(&forwarded).json();
        let environ = &told["environ"];
        let scheme = if believed { "https" } else { "http" };
        assert_eq!(environ["wsgi.url_scheme"], scheme, "{environ}");
        let address = if believed && tells_address { "198.51.100.7" } else { "127.0.0.1" };
        assert_eq!(environ["REMOTE_ADDR"], address, "{environ}");

        let plain = site.get("/x").json();
        assert_eq!(plain["environ"]["wsgi.url_scheme"], "http");
        assert_eq!(plain["environ"]["REMOTE_ADDR"], "127.0.0.1");
    }
}

#[test]
fn nginx() {
    expect_proxy_believed("nginx-examples/behind-proxy.conf", true);
}

#[test]
fn lighttpd() {
    expect_proxy_believed("lighttpd-examples/behind-proxy.conf", true);
}

#[test]
fn apache() {
    expect_proxy_believed("apache-examples/behind-proxy.conf", true);
}

#[test]
fn haproxy() {
    expect_proxy_believed("haproxy-examples/behind-proxy.cfg", true);
}

#[test]
fn caddy() {
    expect_proxy_believed("caddy-examples/behind-proxy.caddyfile", false);
}
