//! Scripts for flup under flupd, with a server of their own: flupd's options hold
//! beside the script's arguments.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::process::Signal;

use super::hosted::{ask, behind_lighttpd, by_hand};
use crate::harness::fcgi::{self, Answer};
use crate::harness::http::Request;
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::wait;

const KINDS: [&str; 3] = ["fcgi", "fcgi_fork", "fcgi_single"];

const APP: &str = "\
import os, time
os.chdir(os.path.dirname(os.path.abspath(__file__)))
from flup.server.KIND import WSGIServer

def app(environ, start_response):
    if environ['PATH_INFO'].endswith('/hold'):
        open('held', 'w').close()
        time.sleep(120)
    start_response('200 OK', [])
    return [environ['SCRIPT_NAME'], '|', environ['PATH_INFO'], '|',
            str(len(environ['wsgi.input'].read())), '|', environ.get('flupd.role')]

";

fn script(options: &str, kind: &str) -> Script {
    let run = "print('run returned', WSGIServer(app).run(), flush=True)\n";
    Script::with(&format!("# flupd: {options}\n{}{run}", APP.replace("KIND", kind)))
}

#[test]
fn limits_and_mount_point() {
    for kind in KINDS {
        let script = script("--max-body 10 --script-name /shop", kind);
        let (_process, mut stream) = by_hand(&script);
        assert_eq!(ask(&mut stream, "/shop/x").body(), "/shop|/x|0|responder", "{kind}");
        use std::io::Write;
        stream.write_all(&fcgi::request(1, 1, "POST", "/shop/x", b"0123456789")).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "/shop|/x|10|responder");
        stream.write_all(&fcgi::request(1, 1, "POST", "/shop/x", b"0123456789!")).unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert!(answer.text().starts_with("Status: 413"), "{kind}: {}", answer.text());
    }
}

#[test]
fn a_log_of_its_own() {
    for kind in KINDS {
        let script = script("", kind);
        let text = fs::read_to_string(script.path()).unwrap();
        let options = "# flupd: --max-body 1 --log-format json --log";
        let log = script.file("here.log");
        script.write(&format!("#!/usr/bin/env flupd\n{options} {}\n", log.display()), &text);
        let (mut process, mut stream) = by_hand(&script);
        use std::io::Write;
        stream.write_all(&fcgi::request(1, 1, "POST", "/x", b"0123456789")).unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert!(answer.text().starts_with("Status: 413"), "{}", answer.text());
        process.signal(Signal::TERM);
        fcgi::expect_end(stream);
        process.wait();
        let log = fs::read_to_string(log).unwrap();
        assert!(log.lines().any(|line| line.starts_with('{') && line.contains("POST /x")), "{log}");
    }
}

/// Who may connect: flupd says no, or the script does.
#[test]
fn peers_that_may_not_connect() {
    let hook = "WSGIServer._isClientAllowed = lambda self, peer: print('asked', peer) or False\n";
    for kind in KINDS {
        for (options, text, served) in [
            ("", "", true),
            ("--allow 127.0.0.1", "", true),
            ("--allow 10.0.0.1", "", false),
            ("--allow 127.0.0.1", hook, false),
        ] {
            let app = APP.replace("KIND", kind);
            let run = format!("# flupd: {options}\n{app}{text}WSGIServer(app).run()\n");
            let script = Script::with(&run);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let mut command = Command::new(script.path());
            command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
            command.stdin(OwnedFd::from(listener));
            let process = Process::start("flupd", &mut command, script.file("log"));
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
            use std::io::Write;
            let sent = stream.write_all(&fcgi::request(1, 0, "GET", "/x", b""));
            let answer = sent.and_then(|()| Answer::read(&mut stream, 1));
            let answered = answer.is_ok_and(|answer| answer.stdout.ends_with(b"responder"));
            assert_eq!(answered, served, "{kind} {options} {text}: {}", process.log());
        }
    }
}

/// A request that does not end in time is given up, as with flupd's own.
#[test]
fn the_time_to_finish() {
    for kind in KINDS {
        let script = script("--graceful-timeout 1", kind);
        let (mut process, mut stream) = by_hand(&script);
        use std::io::Write;
        stream.write_all(&fcgi::request(1, 1, "GET", "/hold", b"")).unwrap();
        wait::until("it runs", || script.file("held").exists());
        process.signal(Signal::TERM);
        process.wait();
        script.wait_until_gone();
    }
}

/// Whatever becomes of the web server: no process of a script outlives it.
#[test]
fn a_killed_web_server_leaves_nobody_behind() {
    for kind in KINDS {
        let script = script("", kind);
        let mut web = behind_lighttpd(&script);
        let answer = Request::get("/x").send(web.address()).unwrap();
        assert_eq!(answer.status, 200, "{kind}: {}", web.error_log());
        assert!(!script.processes().is_empty());
        web.stop(Signal::KILL);
        script.wait_until_gone();
    }
}
