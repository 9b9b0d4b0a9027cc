//! A script that can't serve where nobody reads its standard error: spawn-fcgi makes
//! it /dev/null. The web server's error log says why.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::by_hand::started;
use super::way::{Site, spawn_fcgi_behind};
use crate::harness::example::Example;
use crate::harness::fcgi::{self, Answer};
use crate::harness::front::WebServer;
use crate::harness::http::Request;
use crate::harness::script::Script;
use crate::harness::{lighttpd, wait};

const BROKEN: &str = "import no_such_module\n";
const WHY: &str = "ModuleNotFoundError: No module named 'no_such_module'";

/// The web server's error log has the reason, and the processes end after that.
fn expect_reason(script: Script, example: &'static str, why: &str) -> Site {
    expect_reason_behind(script, why, |socket| {
        Example::open(example).with("/run/flupd/app.sock", socket.to_str().unwrap()).boot()
    })
}

fn expect_reason_behind(script: Script, why: &str, web: impl FnOnce(&Path) -> WebServer) -> Site {
    let site = spawn_fcgi_behind(script, "1", web);
    // A supervisor that gives up may take the first request along.
    wait::until("the web server's error log says why", || {
        assert!(matches!(site.get("/").status, 500..=504));
        site.web.error_log().contains(why)
    });
    site.script.wait_until_gone();
    site
}

#[test]
fn nginx() {
    let script = Script::with(BROKEN);
    let site = expect_reason(script, "nginx-examples/fastcgi.conf", WHY);
    // Its log shows one line: the reason stands before the traceback.
    let log = site.web.error_log();
    let line = log.lines().find(|line| line.contains("FastCGI sent in stderr")).unwrap();
    assert!(line.contains(&format!("app.fcgi can't serve: {WHY}")), "{line}");
    assert_eq!(site.get("/").status, 502, "it has gone");
}

#[test]
fn apache() {
    expect_reason(Script::with(BROKEN), "apache-examples/fastcgi.conf", WHY);
}

#[test]
fn lighttpd() {
    expect_reason(Script::with(BROKEN), "lighttpd-examples/fastcgi.conf", WHY);
}

#[test]
fn h2o() {
    expect_reason(Script::with(BROKEN), "h2o-examples/fastcgi.conf", WHY);
}

#[test]
fn haproxy() {
    expect_reason_behind(Script::with(BROKEN), WHY, |socket| {
        let there = format!("server flupd unix@{} proto fcgi", socket.display());
        let example = Example::open("haproxy-examples/fastcgi.cfg");
        example.replace("server flupd 127.0.0.1:9000 proto fcgi", &there).boot()
    });
}

/// Mistakes in the script's options, and a Python that is not there.
#[test]
fn what_is_wrong_before_python_runs() {
    for (options, why) in [
        ("--colour", "unexpected argument '--colour'"),
        ("--python /no/such/python", "there is no Python at /no/such/python"),
        ("--python /bin/true", "/bin/true is no working Python"),
        ("--workers 2 --python /no/such/python", "there is no Python at /no/such/python"),
    ] {
        let script = Script::with(&format!("# flupd: {options}\n"));
        expect_reason(script, "nginx-examples/fastcgi.conf", why);
    }
}

#[test]
fn with_workers() {
    for options in ["--workers 2", "--workers 2 --preload", "--solo --workers 2"] {
        let script = Script::with(&format!("# flupd: {options}\n{BROKEN}"));
        expect_reason(script, "nginx-examples/fastcgi.conf", WHY);
    }
}

/// What reads from web servers is not root's.
#[test]
fn nobody_is_root() {
    let script = Script::with("# flupd: --colour\n");
    let (process, _stream) = started(&script, "exec \"$0\" 2>/dev/null");
    let status = format!("/proc/{}/status", process.pid().as_raw_nonzero());
    wait::until("it has given root's rights away", || {
        let status = fs::read_to_string(&status).unwrap();
        let ids = status
            .lines()
            .filter(|line| ["Uid:", "Gid:", "Groups:"].iter().any(|name| line.starts_with(name)));
        ids.flat_map(|line| line.split_whitespace().skip(1)).all(|id| id != "0")
    });
}

/// SCGI has no way to the error log; the client is answered all the same.
#[test]
fn over_scgi() {
    for wrong in [BROKEN, "# flupd: --colour\n"] {
        let script = Script::with(&format!("# flupd: --scgi fd:0\n{wrong}"));
        let site = spawn_fcgi_behind(script, "1", |socket| {
            Example::open("nginx-examples/scgi.conf").socket(socket).boot()
        });
        let answer = site.get("/");
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
        assert_eq!(answer.text(), "503 Service Unavailable\n");
        site.script.wait_until_gone();
    }
}

/// Nothing of the inside is told to clients; all requests that come together are
/// answered; and the exit status is that of a failure.
#[test]
fn on_the_wire() {
    for (shell, wrong, code) in [
        ("exec \"$0\" 2>/dev/null", BROKEN, 1),
        ("exec \"$0\" >&- 2>&-", BROKEN, 1),
        ("exec \"$0\" 2>/dev/null", "# flupd: --colour\n", 2),
    ] {
        let script = Script::with(wrong);
        let (mut process, mut stream) = started(&script, shell);
        let mut second = UnixStream::connect(script.file("app.sock")).unwrap();
        for stream in [&mut stream, &mut second] {
            stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "POST", "/", b"body")).unwrap();
            let answer = Answer::read(stream, 1).unwrap();
            assert!(answer.text().starts_with("Status: 503 "), "{}", answer.text());
            assert_eq!(answer.body(), "503 Service Unavailable\n");
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            assert!(said.starts_with("flupd: "), "{said}");
            assert!(said.contains(if code == 1 { WHY } else { "--colour" }), "{said}");
            assert_eq!(answer.end, Some((0, 0)));
        }
        drop((stream, second));
        assert_eq!(process.wait().code(), Some(code));
    }
}

/// Who hears the reason otherwise sees the end at once.
#[test]
fn who_is_heard_does_not_stay() {
    let script = Script::with(BROKEN);
    let (mut process, _stream) = started(&script, "exec \"$0\"");
    assert_eq!(process.wait().code(), Some(1));
    assert!(process.log().contains(WHY));
}

/// A stop is obeyed while the first request is waited for.
#[test]
fn a_stop_ends_it() {
    for options in ["", "# flupd: --colour\n", "# flupd: --workers 2\n"] {
        let script = Script::with(&format!("{options}{BROKEN}"));
        let mut site = spawn_fcgi_behind(script, "2", |socket| {
            Example::open("nginx-examples/fastcgi.conf").socket(socket).boot()
        });
        std::thread::sleep(Duration::from_millis(300));
        site.stop(Signal::TERM);
    }
}

/// lighttpd starts what has ended once a second; while nobody asks, it need not.
#[test]
fn nobody_is_started_over_and_over() {
    let script = Script::with(&format!(
        "import os\nwith open(os.path.dirname(__file__) + '/starts', 'a') as file:\n    file.write('x')\n{BROKEN}"
    ));
    let socket = script.file("app.sock");
    let example = Example::open("lighttpd-examples/spawn-fastcgi.conf")
        .site(script.dir())
        .replace("/run/lighttpd/mysite.sock", socket.to_str().unwrap())
        .replace("\"max-procs\" => 4", "\"max-procs\" => 1");
    // lighttpd passes on its own standard error where it has none of its own to give.
    let example = example.replace(
        "#server.breakagelog = \"/var/log/lighttpd/app.log\"",
        "server.breakagelog = \"/dev/null\"",
    );
    let mut web = lighttpd::start_with(&example, |command| {
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    });
    let starts = || fs::read(script.file("starts")).unwrap_or_default().len();
    wait::until("the script is started", || starts() == 1);
    std::thread::sleep(Duration::from_millis(2200));
    assert_eq!(starts(), 1);
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(2200) {
        let answer = Request::get("/").send(web.address()).unwrap();
        assert!(matches!(answer.status, 500..=504));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(starts() <= 5, "{}", starts());
    wait::until("the error log says why", || web.error_log().contains(WHY));
    assert!(TcpStream::connect(web.address()).is_ok());
    web.stop(Signal::TERM);
    script.wait_until_gone();
}
