//! Who may connect: `--allow` and FCGI_WEB_SERVER_ADDRS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::process::{getgid, getuid};

use crate::harness::example::Example;
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::http::Request;
use crate::harness::{app, is_root, ports, wait};

/// Serves on these addresses, and waits until connections are taken.
fn serve(addresses: &[&str], args: &[&str]) -> Flupd {
    let fastcgi = addresses.iter().flat_map(|address| ["--fastcgi", address]);
    let mut flupd = Serve::app(&app("wrong.py")).args(fastcgi).args(args).start();
    for address in addresses {
        flupd.wait_until_accepting(address);
    }
    flupd.wait_for_log("ready");
    flupd
}

/// Whether a request over this connection is answered. One that is refused is
/// closed without a byte.
fn is_answered(mut stream: impl Read + Write) -> bool {
    // The other side may have closed already.
    let _ = stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b""));
    match Answer::read(&mut stream, 1) {
        Ok(answer) if answer.end.is_some() => {
            assert_eq!(answer.body(), "hello\n");
            true
        }
        Ok(answer) => {
            assert!(answer.stdout.is_empty());
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            false
        }
    }
}

fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream
}

#[test]
fn networks() {
    let v4 = || format!("127.0.0.1:{}", ports::free());
    let v6 = || format!("[::1]:{}", ports::free());
    for (address, allow, answered) in [
        (v4(), &["127.0.0.1"][..], true),
        (v4(), &["192.0.2.0/24", "127.0.0.0/8"], true),
        (v4(), &["192.0.2.0/24", "::1"], false),
        (v6(), &["::1"], true),
        (v6(), &["127.0.0.1", "2001:db8::/32"], false),
    ] {
        let args: Vec<_> = allow.iter().flat_map(|rule| ["--allow", rule]).collect();
        for mode in [&[][..], &["--solo"]] {
            let flupd = serve(&[&address], &[&args, mode].concat());
            assert_eq!(is_answered(tcp(&address)), answered, "{address} {allow:?} {mode:?}");
            let peer = if address.starts_with('[') { "peer=\"::1\"" } else { "peer=\"127.0.0.1\"" };
            if !answered {
                flupd.wait_for_log("connection refused: --allow names others");
                flupd.wait_for_log(peer);
            }
        }
    }
}

/// A listener of both families, such as systemd makes, sees IPv4 addresses inside
/// IPv6 ones.
#[test]
fn networks_behind_a_listener_of_both_families() {
    for (allow, answered) in [("127.0.0.1", true), ("127.0.0.2", false), ("::1", false)] {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = Serve::app(&app("wrong.py")).stdin(listener.into());
        let flupd = serve.args(["--fastcgi", "fd:0", "--allow", allow]).start();
        flupd.wait_for_log("ready");
        assert_eq!(is_answered(tcp(&format!("127.0.0.1:{port}"))), answered, "{allow}");
    }
}

#[test]
fn users_and_groups() {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    for (rule, answered) in [
        (format!("uid:{uid}"), true),
        (format!("uid:{}", uid + 1), false),
        (format!("gid:{gid}"), true),
        (format!("gid:{}", gid + 1), false),
    ] {
        for mode in [&[][..], &["--solo"]] {
            let serve = Serve::app(&app("wrong.py")).args(["--allow", &rule]).args(mode);
            let flupd = serve.on_fastcgi();
            assert_eq!(is_answered(flupd.connect()), answered, "{rule} {mode:?}");
            if !answered {
                flupd.wait_for_log(&format!("uid {uid}, gid {gid}, pid "));
            }
        }
    }
}

/// Rules for unix sockets say nothing of TCP, and the other way around.
#[test]
fn each_kind_has_its_rules() {
    let serve = Serve::app(&app("wrong.py"));
    let (port, path) = (ports::free(), serve.dir().join("both.sock"));
    let address = format!("127.0.0.1:{port}");
    let uid = format!("uid:{}", getuid().as_raw() + 1);
    let serve = serve.args(["--fastcgi", path.to_str().unwrap(), "--fastcgi", &address]);
    let mut flupd = serve.args(["--allow", &uid, "--allow", "127.0.0.1"]).start();
    flupd.wait_until_accepting(&address);
    assert!(is_answered(tcp(&address)));
    assert!(!is_answered(UnixStream::connect(&path).unwrap()));
}

/// A flood of refused connections is no flood of lines, and harms nobody else.
#[test]
fn refusals_are_logged_seldom() {
    let address = format!("127.0.0.1:{}", ports::free());
    let flupd = serve(&[&address], &["--allow", "192.0.2.1"]);
    let begun = std::time::Instant::now();
    for _ in 0..500 {
        assert!(!is_answered(tcp(&address)));
    }
    let lines = flupd.log().matches("connection refused").count() as u64;
    assert!((1..=begun.elapsed().as_secs() + 2).contains(&lines), "{lines} lines");
}

#[test]
fn web_servers_of_the_environment() {
    let serve = |servers: &str, args: &[&str]| {
        let address = format!("127.0.0.1:{}", ports::free());
        let serve = Serve::app(&app("wrong.py")).env("FCGI_WEB_SERVER_ADDRS", servers);
        let mut flupd = serve.args(["--fastcgi", &address]).args(args).start();
        flupd.wait_until_accepting(&address);
        let answered = is_answered(tcp(&address));
        drop(flupd);
        answered
    };
    assert!(serve("192.0.2.1,127.0.0.1", &[]));
    assert!(!serve("192.0.2.1, 192.0.2.2", &[]));
    // What is configured goes first.
    assert!(serve("192.0.2.1", &["--allow", "127.0.0.1"]));
    // A unix socket has permissions of its own.
    let flupd = Serve::app(&app("wrong.py")).env("FCGI_WEB_SERVER_ADDRS", "192.0.2.1").on_fastcgi();
    assert!(is_answered(flupd.connect()));
    let (code, log) =
        Serve::app(&app("wrong.py")).env("FCGI_WEB_SERVER_ADDRS", "127.0.0.1,web1").refused();
    assert_eq!(code, Some(2));
    assert!(log.contains("FCGI_WEB_SERVER_ADDRS \"web1\": not an address"), "{log}");
}

#[test]
fn a_bad_rule_is_refused_at_the_start() {
    for (rule, told) in [
        ("192.0.2.7/24", "--allow \"192.0.2.7/24\": 192.0.2.7 is not the first address"),
        ("uid:no-such-user", "there is no user \"no-such-user\" here; name one, or write a number"),
        (
            "192.0.2.1",
            "--allow 192.0.2.1/32 is about the other kind of address; networks are for TCP",
        ),
    ] {
        let (code, log) = Serve::app(&app("wrong.py")).args(["--allow", rule]).refused();
        assert_eq!(code, Some(2), "{log}");
        assert!(log.contains(told), "{log}");
    }
}

/// Root's Apache runs as www-data: it is that user who connects.
#[test]
fn a_web_server_of_another_user() {
    if !is_root() {
        return;
    }
    for (allow, status) in
        [("uid:www-data", 200), ("gid:www-data", 200), ("uid:nobody", 503), ("uid:root", 503)]
    {
        let serve = Serve::app(&app("wrong.py")).args(["--allow", allow]);
        let site = Example::open("apache-examples/fastcgi.conf").in_front_of(serve);
        assert_eq!(site.get("/hello").status, status, "{allow}");
        if status == 503 {
            // Said once a second; the test itself was the first.
            wait::until("the log names Apache's user", || {
                assert_eq!(site.get("/hello").status, 503);
                site.flupd.log().contains("peer=\"uid 33, gid 33, pid ")
            });
        }
    }
}

/// A web server reaches flupd over IPv6, and is let in by its network.
#[test]
fn a_web_server_over_ipv6() {
    for (allow, status) in [("::/64", 200), ("2001:db8::/32", 502)] {
        let address = format!("[::1]:{}", ports::free());
        let flupd = serve(&[&address], &["--allow", allow]);
        let web = Example::open("nginx-examples/fastcgi.conf")
            .with("unix:/run/flupd/app.sock", &address)
            .boot();
        let answer = Request::get("/hello").send(web.address()).unwrap();
        assert_eq!(answer.status, status, "{allow}: {}", flupd.log());
    }
}
