//! Who else starts scripts: H2O, fcgiwrap, and programs that flupd does not know.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::digest::{blocks, sha256};
use crate::harness::example::Example;
use crate::harness::front::WebServer;
use crate::harness::http::{Request, Response};
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::{h2o, lighttpd, ports, wait};

fn ask(web: &WebServer, request: &Request) -> Response {
    request.send(web.address()).unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// The app is the whole site, and an upload of 3 MiB arrives.
fn expect_whole_site(web: &WebServer) {
    for (target, path) in [("/", "/"), ("/a%20b/c?d=e", "/a b/c")] {
        let told = ask(web, &Request::get(target)).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "", "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
    }
    let (expected, length) = sha256(&mut blocks(48).as_slice()).unwrap();
    let told = ask(web, &Request::post("/", blocks(48))).json();
    assert_eq!((&told["body_length"], &told["body_sha256"]), (&length.into(), &expected.into()));
}

#[test]
fn h2o() {
    let script = Script::of("echo.py", "--workers 2");
    let example = Example::open("h2o-examples/spawn.conf").site(script.dir());
    let mut web = h2o::start_with(example, |command| {
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    });
    expect_whole_site(&web);
    web.stop(Signal::TERM);
    script.wait_until_gone();
}

/// One that serves alone gets a supervisor, which tells.
#[test]
fn the_status_of_a_solo_script() {
    let status = ([127, 0, 0, 1], ports::free()).into();
    let script = Script::of("echo.py", &format!("--solo --status {status}"));
    let example = Example::open("h2o-examples/spawn.conf").site(script.dir());
    let mut web = h2o::start_with(example, |command| {
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    });
    expect_whole_site(&web);
    let counted = "flupd_requests_total{app=\"app\",status=\"2xx\"} 3\n";
    wait::until("all of them are counted", || {
        let told = Request::get("/metrics").send(status);
        told.is_ok_and(|told| told.text().contains(counted))
    });
    web.stop(Signal::TERM);
    script.wait_until_gone();

    let cgi = Command::new(script.dir().join("app.fcgi"))
        .env("PATH", script.search_path())
        .env("REQUEST_METHOD", "GET")
        .output();
    let said = String::from_utf8(cgi.unwrap().stderr).unwrap();
    assert!(said.contains("--status is for a flupd that stays"), "{said}");
}

/// H2O watches what it has started by a program of its own, which outlives a SIGKILL.
#[test]
fn h2o_that_is_killed_leaves_nobody_behind() {
    let script = Script::of("echo.py", "--workers 2");
    let example = Example::open("h2o-examples/spawn.conf").site(script.dir());
    let mut web = h2o::start_with(example, |command| {
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    });
    expect_whole_site(&web);
    web.stop(Signal::KILL);
    script.wait_until_gone();
}

#[test]
fn nginx_before_fcgiwrap() {
    let script = Script::of("echo.py", "");
    fs::set_permissions(script.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    let socket = script.file("fcgiwrap.socket");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("/usr/sbin/fcgiwrap");
    command.args(["-f", "-c", "2"]).env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    command.stdin(OwnedFd::from(listener));
    let _fcgiwrap = Process::start("fcgiwrap", &mut command, script.file("fcgiwrap.log"));
    let example = Example::open("nginx-examples/fcgiwrap.conf")
        .with("/run/fcgiwrap.socket", socket.to_str().unwrap())
        .site(script.dir());
    let web = example.boot();
    expect_whole_site(&web);
    let told = ask(&web, &Request::get("/")).json();
    assert_eq!(told["environ"]["wsgi.run_once"], true);
    script.write("#!/usr/bin/env flupd\n", "import no_such_module\n");
    assert_eq!(ask(&web, &Request::get("/")).status, 500);
    wait::until("the error log says why", || web.error_log().contains("no_such_module"));
}

/// A script whose starter, a shell that flupd does not know, is killed.
fn survives_its_starter(options: &str) -> bool {
    let script = Script::of("echo.py", options);
    let listener = UnixListener::bind(script.file("app.sock")).unwrap();
    let mut command = Command::new("sh");
    // It waits, and so is the parent.
    command.args(["-c", "\"$0\"; true"]).arg(script.path()).env("PATH", script.search_path());
    command.stdin(OwnedFd::from(listener)).env_remove("VIRTUAL_ENV");
    let mut process = Process::start("sh", &mut command, script.file("log"));
    wait::until("the script runs", || {
        let serves = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"flupd: "))
        };
        script.processes().iter().any(serves)
    });
    process.signal(Signal::KILL);
    process.wait();
    thread::sleep(Duration::from_millis(500));
    let left = script.processes();
    for pid in &left {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    script.wait_until_gone();
    !left.is_empty()
}

#[test]
fn with_parent_is_obeyed() {
    assert!(survives_its_starter(""), "nobody has asked for it");
    assert!(!survives_its_starter("--with-parent yes"));
    assert!(survives_its_starter("--with-parent no"));
}

/// lighttpd is known, and the script says no.
#[test]
fn without_parent_under_lighttpd() {
    for (options, stays) in [("--with-parent no", true), ("", false)] {
        let script = Script::of("echo.py", options);
        let example = Example::open("lighttpd-examples/spawn-fastcgi.conf")
            .site(script.dir())
            .replace("/run/lighttpd/mysite.sock", script.file("app.sock").to_str().unwrap())
            .replace("\"max-procs\" => 4", "\"max-procs\" => 1");
        let mut web = lighttpd::start_with(&example, |command| {
            command.stderr(Stdio::null());
            command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
        });
        expect_whole_site(&web);
        let pids = script.processes();
        web.stop(Signal::KILL);
        if stays {
            thread::sleep(Duration::from_millis(500));
            assert_eq!(script.processes(), pids);
            for pid in pids {
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                rustix::process::kill_process(pid, Signal::TERM).unwrap();
            }
        }
        script.wait_until_gone();
    }
}
