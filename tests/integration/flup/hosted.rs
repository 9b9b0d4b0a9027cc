//! Scripts for flup that flupd runs: nothing is installed, flupd itself answers
//! `import flup`.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::HOWTO;
use crate::harness::example::Example;
use crate::harness::fcgi::{self, Answer};
use crate::harness::front::WebServer;
use crate::harness::http::Request;
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::{lighttpd, wait};
use crate::spawned::way::Way;

const FASTCGI: [&str; 3] = ["fcgi", "fcgi_fork", "fcgi_single"];

/// lighttpd starts the script.
pub(super) fn behind_lighttpd(script: &Script) -> WebServer {
    let socket = script.file("lighttpd.sock");
    let example = Example::open("lighttpd-examples/spawn-flup.conf").site(script.dir());
    let path = script.search_path();
    lighttpd::start_with(&example.lighttpds_socket(&socket), |command| {
        command.env("PATH", path).env_remove("VIRTUAL_ENV");
    })
}

#[test]
fn the_demo_of_pythons_howto_under_flupd() {
    for kind in FASTCGI {
        for options in ["", "# flupd: --workers 2 --threads 2\n"] {
            let text = HOWTO.replace("flup.server.fcgi", &format!("flup.server.{kind}"));
            let script = Script::with(&format!("{options}{text}WSGIServer(app).run()\n"));
            // Ours answers, also where another flup stands first.
            fs::create_dir(script.file("flup")).unwrap();
            fs::write(script.file("flup/__init__.py"), "raise ImportError('another')\n").unwrap();
            let web = behind_lighttpd(&script);
            for _ in 0..3 {
                let answer = Request::get("/some/where?a=b").send(web.address()).unwrap();
                let page = answer.text();
                assert_eq!(answer.status, 200, "{kind} {options}: {page}{}", web.error_log());
                assert!(page.contains("<tr><th>PATH_INFO</th><td>/some/where</td></tr>"), "{page}");
            }
            drop(web);
            script.wait_until_gone();
        }
    }
}

/// flupd runs the script by hand, with a listening socket as standard input.
pub(super) fn by_hand(script: &Script) -> (Process, UnixStream) {
    let socket = script.file("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new(script.path());
    command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    command.env("PYTHONUNBUFFERED", "1").stdin(OwnedFd::from(listener));
    let process = Process::start("flupd", &mut command, script.file("log"));
    let stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    (process, stream)
}

pub(super) fn ask(stream: &mut UnixStream, target: &str) -> Answer {
    use std::io::Write;
    stream.write_all(&fcgi::request(1, 1, "GET", target, b"")).unwrap();
    Answer::read(stream, 1).unwrap()
}

const APP: &str = "\
from flup.server.KIND import WSGIServer

def app(environ, start_response):
    if environ['PATH_INFO'].endswith('/raise'):
        raise ValueError('no <way>')
    start_response(b'200 OK', [('Content-Type', 'text/plain')])
    return ['%s|%s|%s' % (environ['SCRIPT_NAME'], environ['PATH_INFO'], environ.get('own.key'))]

";

#[test]
fn run_returns_what_flup_says() {
    for kind in FASTCGI {
        for (signal, returned) in [(Signal::HUP, "True"), (Signal::TERM, "False")] {
            let run = "print('run returned', WSGIServer(app).run())\n";
            let script = Script::with(&format!("{}{run}", APP.replace("KIND", kind)));
            let (mut process, mut stream) = by_hand(&script);
            assert_eq!(ask(&mut stream, "/a").body(), "|/a|None");
            process.signal(signal);
            fcgi::expect_end(stream);
            process.wait();
            let expected = format!("run returned {returned}");
            assert!(process.log().contains(&expected), "{kind}: {}", process.log());
        }
    }
}

#[test]
fn arguments_count_under_flupd() {
    let run = "WSGIServer(app, environ={'SCRIPT_NAME': '/a', 'own.key': 5}, debug=True).run()\n";
    let script = Script::with(&format!("{}{run}", APP.replace("KIND", "fcgi")));
    let (_process, mut stream) = by_hand(&script);
    assert_eq!(ask(&mut stream, "/a/b").body(), "/a|/b|5");
    let answer = ask(&mut stream, "/a/raise");
    assert!(answer.text().starts_with("Status: 500"), "{}", answer.text());
    assert!(answer.body().contains("ValueError: no &lt;way&gt;"), "{}", answer.body());

    let script = Script::with(&format!("{}WSGIServer(app).run()\n", APP.replace("KIND", "fcgi")));
    let (_process, mut stream) = by_hand(&script);
    let answer = ask(&mut stream, "/raise");
    assert!(answer.body().contains("Unhandled Exception"), "{}", answer.body());
    assert!(!answer.body().contains("ValueError"), "{}", answer.body());
}

/// With an address of its own the script serves by itself, although flupd runs it.
#[test]
fn an_address_of_the_scripts_own() {
    let run = "print('run returned', WSGIServer(app, bindAddress='own.sock').run())\n";
    let chdir = "import os; os.chdir(os.path.dirname(os.path.abspath(__file__)))\n";
    let script = Script::with(&format!("{chdir}{}{run}", APP.replace("KIND", "fcgi")));
    let (mut process, _stream) = by_hand(&script);
    let own = script.file("own.sock");
    wait::until("it accepts connections", || UnixStream::connect(&own).is_ok());
    let mut stream = UnixStream::connect(&own).unwrap();
    assert_eq!(ask(&mut stream, "/a").body(), "|/a|None");
    process.signal(Signal::HUP);
    fcgi::expect_end(stream);
    process.wait();
    assert!(process.log().contains("run returned True"), "{}", process.log());
}

/// The same, started by hand: neither a socket nor a request is standard input.
#[test]
fn an_address_of_the_scripts_own_by_hand() {
    let by_nobody = |script: &Script| {
        let mut command = Command::new(script.path());
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
        command.env("PYTHONUNBUFFERED", "1").stdin(Stdio::null());
        Process::start("flupd", &mut command, script.file("log"))
    };
    let chdir = "import os; os.chdir(os.path.dirname(os.path.abspath(__file__)))\n";
    for kind in FASTCGI {
        let app = APP.replace("KIND", kind);
        let run = "print('run returned', WSGIServer(app, bindAddress='own.sock').run())\n";
        let script = Script::with(&format!("{chdir}{app}{run}"));
        let mut process = by_nobody(&script);
        let own = script.file("own.sock");
        wait::until("it accepts connections", || UnixStream::connect(&own).is_ok());
        assert_eq!(ask(&mut UnixStream::connect(&own).unwrap(), "/a").body(), "|/a|None");
        process.signal(Signal::HUP);
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
        assert!(process.log().contains("run returned True"), "{}", process.log());
        script.wait_until_gone();

        // Without an address there is nothing to serve on, whoever shall serve.
        let serve = "print('run returned', WSGIServer(app).run())\n";
        for (options, run) in [
            ("", serve),
            ("# flupd: --solo\n", serve),
            ("# flupd: --workers 2\n", run),
            ("", "application = app\n"),
        ] {
            let script = Script::with(&format!("{options}{chdir}{app}{run}"));
            let mut process = by_nobody(&script);
            assert_eq!(process.wait().code(), Some(2), "{kind} {options}: {}", process.log());
            let log = process.log();
            assert!(log.contains("app.fcgi: standard input is not a listening socket"), "{log}");
            assert!(log.contains("flupd run --fastcgi unix:./app.sock"), "{log}");
            assert!(!log.contains("run returned") && !log.contains("Traceback"), "{log}");
        }
    }
}

#[test]
fn the_same_script_as_cgi() {
    for kind in FASTCGI.into_iter().chain(["cgi"]) {
        let script = Script::with(&format!("{}WSGIServer(app).run()\n", APP.replace("KIND", kind)));
        for forced in ["", "Y"] {
            let mut command = Command::new(script.path());
            command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
            command.envs([("GATEWAY_INTERFACE", "CGI/1.1"), ("REQUEST_METHOD", "GET")]);
            command.envs([("SCRIPT_NAME", ""), ("PATH_INFO", "/a"), ("FCGI_FORCE_CGI", forced)]);
            let output = command.stdin(Stdio::null()).output().unwrap();
            let answer = String::from_utf8(output.stdout).unwrap();
            assert!(answer.ends_with("\r\n\r\n|/a|None"), "{answer}{:?}", output.stderr);
        }
    }
}

/// The web servers and programs that start scripts, as FastCGI, SCGI and CGI.
#[test]
fn whoever_starts_it() {
    let ways = [
        (Way::LighttpdScgi, "fcgi"),
        (Way::LighttpdCgi, "fcgi"),
        (Way::LighttpdCgi, "cgi"),
        (Way::Fcgid, "fcgi"),
        (Way::Fcgid, "fcgi_fork"),
        (Way::Fcgid, "fcgi_single"),
        (Way::FcgidWrapper, "fcgi"),
        (Way::ApacheCgid, "fcgi_fork"),
        (Way::ApacheCgi, "fcgi"),
        (Way::SpawnFcgi, "fcgi"),
        (Way::SpawnFcgi, "fcgi_fork"),
        (Way::Multiwatch, "fcgi_single"),
    ];
    for (way, kind) in ways {
        let text = HOWTO.replace("flup.server.fcgi", &format!("flup.server.{kind}"));
        let options = way.options();
        let site =
            way.start(Script::with(&format!("# flupd: {options}\n{text}WSGIServer(app).run()\n")));
        for _ in 0..3 {
            let answer = site.get("/some/where?a=b");
            let page = answer.text();
            assert_eq!(answer.status, 200, "{way:?} {kind}: {page}{}", site.log());
            assert!(page.contains("/some/where</td></tr>"), "{way:?} {kind}: {page}");
        }
        let script = site.script.dir().to_owned();
        drop(site);
        assert!(!script.exists());
    }
}
