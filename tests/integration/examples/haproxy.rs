//! HAProxy: what its users may write besides the examples' own.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

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
