//! HAProxy: what its users may write besides the examples' own.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::example::Example;
use crate::harness::flupd::{FLUPD, Serve};
use crate::harness::http::Request;
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::{app, is_root, ports, wait};

/// `path-info` tells the mount point, and flupd needs no `--script-name`. Of a
/// request for exactly `/shop` HAProxy sends no PATH_INFO: see decision 0007.
#[test]
fn path_info() {
    let site = Example::open("haproxy-examples/mounted.cfg")
        .with(" --script-name /shop", "")
        .uncomment("path-info ^(/shop)(/.*)?$")
        .in_front_of(Serve::app(&app("echo.py")));
    for (target, path) in [
        ("/shop/", "/"),
        ("/shop/cart?q=1", "/cart"),
        ("/shop/a%20b", "/a b"),
        ("/shop/a%2Fb%25", "/a/b%"),
        ("/shop/gr%C3%BC%C3%9Fe", "/gr\u{c3}\u{bc}\u{c3}\u{9f}e"),
    ] {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "/shop", "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
    }
    assert_eq!(site.get("/shopping").status, 404);
}

/// HAProxy asks whether many requests may share a connection. A script that serves one
/// request at a time says no, and no request fails for it.
#[test]
fn get_values() {
    let script = Script::of("answers.py", if is_root() { "--user root" } else { "" });
    let port = ports::free();
    let mut command = Command::new(FLUPD);
    command.args(["run", "--fastcgi", &format!("127.0.0.1:{port}")]).arg(script.path());
    let _flupd = Process::start("flupd", command.stdin(Stdio::null()), script.file("log"));
    let accepts = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait::until("the script accepts connections", accepts);

    let web = &Example::open("haproxy-examples/multiplexed.cfg").port(port).boot();
    thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                for n in 0..25 {
                    let token = format!("{client}-{n}");
                    let request = Request::get(&format!("/repeat?token={token}"));
                    let answer = request.send(web.address()).unwrap();
                    assert_eq!((answer.status, answer.text()), (200, format!("{token}|")));
                }
            });
        }
    });
}

const FASTCGI: &str = "haproxy-examples/fastcgi.cfg";
const MULTIPLEXED: &str = "haproxy-examples/multiplexed.cfg";

/// One thread: all requests share what connections there are. `abortonclose` counts
/// where the frontend has it too, so it stands in `defaults`.
const ABORTONCLOSE: &str = "\
global
    nbthread 1
defaults
    log global
    mode http
    option httplog
    option abortonclose
    timeout connect 5000
    timeout client 50000
    timeout server 50000

frontend web";

/// HAProxy gives the request of a client that leaves up at once, and flupd hears of it
/// when the app sends something: then HAProxy closes the connection, as soon as it has
/// no other requests. Those go on.
#[test]
fn abortonclose() {
    for name in [FASTCGI, MULTIPLEXED] {
        let example = Example::open(name).with("frontend web", ABORTONCLOSE);
        let serve = Serve::app(&app("cancelled.py")).args(["--workers", "1", "--threads", "6"]);
        let site = &example.in_front_of(serve);
        let file = |name: &str| site.flupd.file(name);
        let shown = |name: &str| file(name).display().to_string();
        thread::scope(|scope| {
            let others: Vec<_> = (0..4)
                .map(|n| {
                    let mark = format!("mark-{n}");
                    let target = format!("/counts?mark={}&gate={}", shown(&mark), shown("gate"));
                    let other = scope.spawn(move || site.get(&target).text());
                    wait::until_exists(&file(&mark));
                    other
                })
                .collect();
            let names = ["started", "early", "told"].map(|name| format!("{name}={}", shown(name)));
            let target = format!("/late?{}&gate={}", names.join("&"), shown("late-gate"));
            let leaves = Request::get(&target).start(site.web.address()).unwrap();
            wait::until_exists(&file("started"));
            drop(leaves);
            wait::until("HAProxy gives it up", || site.web.error_log().contains(" CH-- "));
            fs::write(file("late-gate"), "").unwrap();
            if name == FASTCGI {
                wait::until_exists(&file("told"));
            }
            assert!(!file("early").exists(), "{name}: told before the app has sent anything");
            for _ in 0..20 {
                assert_eq!(site.get("/ready").text(), "ready\n", "{name}");
            }
            fs::write(file("gate"), "").unwrap();
            for other in others {
                assert_eq!(other.join().unwrap(), "counted\n", "{name}");
            }
            wait::until_exists(&file("told"));
        });
        assert!(!site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
    }
}

/// HAProxy closes what has been idle, again and again, while flupd runs: no request
/// fails, neither beside such a close nor after all have been closed.
#[test]
fn pool_purge_delay() {
    for name in [FASTCGI, MULTIPLEXED] {
        let example = Example::open(name).with("proto fcgi", "proto fcgi pool-purge-delay 50ms");
        let site = &example.in_front_of(Serve::app(&app("answers.py")));
        site.flupd.wait_for_log("ready");
        let before = site.flupd.resting_sockets();
        for round in 0..3 {
            thread::scope(|scope| {
                for client in 0..8_u64 {
                    scope.spawn(move || {
                        for n in 0..20_u64 {
                            let token = format!("{round}-{client}-{n}");
                            let request = Request::post(&format!("/repeat?token={token}"), "body");
                            let answer = request.send(site.web.address()).unwrap();
                            let expected = (200, format!("{token}|body"));
                            assert_eq!((answer.status, answer.text()), expected, "{name}");
                            // Now longer than the delay, now shorter.
                            thread::sleep(Duration::from_millis((client * 7 + n * 13) % 80));
                        }
                    });
                }
            });
            wait::until("all are closed", || site.flupd.sockets() <= before);
        }
        let log = site.flupd.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    }
}
