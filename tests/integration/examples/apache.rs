//! Apache: the ways in which users tell mod_proxy_fcgi of the path, besides the
//! examples' own.

use crate::harness::app;
use crate::harness::example::Example;
use crate::harness::flupd::Serve;

fn expect_whole_site(more: &str) {
    let site = Example::open("apache-examples/fastcgi.conf")
        .replace("ProxyTimeout 60\n", &format!("ProxyTimeout 60\n{more}\n"))
        .in_front_of(Serve::app(&app("echo.py")));
    for (target, path) in [
        ("/", "/"),
        ("/plain/x?q=1", "/plain/x"),
        ("/a%20b", "/a b"),
        ("/gr%C3%BC%C3%9Fe", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e"),
    ] {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "", "{more}: {target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{more}: {target}");
    }
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
    for how in ["full", "unescape"] {
        expect_whole_site(&format!("SetEnvIf Request_URI . proxy-fcgi-pathinfo={how}"));
    }
}
