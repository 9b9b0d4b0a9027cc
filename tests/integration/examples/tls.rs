//! HTTPS: the app knows of it, and nobody can pretend.

use std::fs;

use super::nginx::{curl, openssl};
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::front::Server;
use crate::harness::http::Request;
use crate::harness::{app, ports};

/// `port`: the example's text for its HTTPS port, and what to write instead, where `PORT`
/// is the number. `client`: whether it asks for certificates.
fn expect_https(name: &str, port: (&str, &str), client: bool) {
    let serve = Serve::app(&app("echo.py"));
    let dir = serve.dir().to_owned();
    openssl(&dir, "server", "/CN=example.org");
    openssl(&dir, "client", "/CN=Zoe");
    if Server::of(name) == Server::Haproxy {
        let both = ["server.key", "server.pem"].map(|name| fs::read(dir.join(name)).unwrap());
        fs::write(dir.join("both.pem"), both.concat()).unwrap();
    }
    let https = ports::free();
    let path = |name: &str| dir.join(name).into_os_string().into_string().unwrap();
    let certificate = if Server::of(name) == Server::Haproxy { "both.pem" } else { "server.pem" };
    let mut example = Example::open(name)
        .with(port.0, &port.1.replace("PORT", &https.to_string()))
        .with("/etc/ssl/example.org.pem", &path(certificate));
    if example.text().contains("/etc/ssl/example.org.key") {
        example = example.with("/etc/ssl/example.org.key", &path("server.key"));
    }
    if client {
        example = example.with("/etc/ssl/clients-ca.pem", &path("client.pem"));
    }
    let site = example.in_front_of(serve);

    if Server::of(name) != Server::Caddy {
        let answer = site.send(&Request::get("/x?y").header("Host", "example.org"));
        assert_eq!(answer.status, 301);
        let location = answer.header("Location").unwrap();
        assert_eq!(location, "https://example.org/x?y");
    }

    let environ = |args: &[&str]| {
        let told: serde_json::Value =
            serde_json::from_slice(&curl(&dir, https, args).stdout).unwrap();
        told["environ"].clone()
    };
    let stranger = environ(&["-H", "SSL_CLIENT_S_DN: CN=Zoe", "-H", "Ssl-Client-S-Dn: CN=Zoe"]);
    assert_eq!(stranger["wsgi.url_scheme"], "https");
    assert_eq!(stranger["HTTP_HOST"], format!("example.org:{https}"));
    let named = |environ: &serde_json::Value| {
        ["SSL_CLIENT_S_DN", "SSL_CLIENT_S_DN_CN"]
            .iter()
            .any(|name| environ[name].as_str().is_some_and(|name| name.ends_with("Zoe")))
    };
    assert!(!named(&stranger), "{stranger}");
    if client {
        let zoe = environ(&["--cert", "client.pem", "--key", "client.key"]);
        assert!(named(&zoe), "{zoe}");
    }
}

#[test]
fn lighttpd() {
    expect_https("lighttpd-examples/tls.conf", (":443", "127.0.0.1:PORT"), true);
}

#[test]
fn apache() {
    // Debian's ports.conf has a Listen for mod_ssl.
    let virtual_host = "<VirtualHost *:443>";
    let listen = "Listen 127.0.0.1:PORT\n<VirtualHost *:PORT>";
    expect_https("apache-examples/tls.conf", (virtual_host, listen), true);
}

#[test]
fn haproxy() {
    expect_https("haproxy-examples/tls.cfg", ("bind :443", "bind 127.0.0.1:PORT"), true);
}

#[test]
fn caddy() {
    expect_https(
        "caddy-examples/tls.caddyfile",
        ("example.org {", "https://example.org:PORT {"),
        true,
    );
}

#[test]
fn h2o() {
    expect_https(
        "h2o-examples/tls.conf",
        ("port: 443\n", "port: PORT\n      host: 127.0.0.1\n"),
        false,
    );
}

#[test]
fn nginx() {
    super::nginx::tls();
}
