//! The probe: new code must answer a request before it gets those of clients.

use std::fs;
use std::io::Write;
use std::process::Output;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::python::frameworks;
use crate::harness::{app, wait};

/// A copy of the app in the directory in which flupd runs, which a test can change.
fn deployed() -> Serve {
    let serve = Serve::app("probed:application").args(["--probe", "/healthz?deep=1"]);
    fs::copy(app("probed.py"), serve.dir().join("probed.py")).unwrap();
    serve
}

fn ready(serve: Serve) -> Flupd {
    let flupd = serve.on_fastcgi();
    flupd.wait_for_log("ready");
    flupd
}

/// New code, in this mode, and what `flupd reload` says.
fn reload(flupd: &Flupd, mode: &str) -> Output {
    let text = fs::read_to_string(app("probed.py")).unwrap();
    let text = text.replace("MODE = \"good\"", &format!("MODE = {mode:?}"));
    let text = text.replace("VERSION = \"1\"", &format!("VERSION = {mode:?}"));
    let new = flupd.file("probed.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, flupd.file("probed.py")).unwrap();
    flupd.order(&["reload"])
}

fn asks(flupd: &Flupd) -> String {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    Answer::read(&mut stream, 1).unwrap().body()
}

/// What the probes were, as the app has seen them.
fn asked(flupd: &Flupd) -> Vec<String> {
    let text = fs::read_to_string(flupd.file("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// However the new code fails, the old one goes on, and the administrator is told why.
fn bad_answers(workers: usize, options: &[&str]) {
    let serve = deployed().args(["--probe-timeout", "2"]).args(options);
    let flupd = ready(serve.args(["--workers".to_owned(), workers.to_string()]));
    flupd.wait_for_workers(workers);
    for (mode, why) in [
        ("bad", &["the probe GET /healthz?deep=1 was answered 503 Cold", "the cache is cold"][..]),
        ("raises", &["RuntimeError: no such table: carts", "in healthz"]),
        (
            "stuck",
            &["was not answered within 2 s; it is here:", "probed.py\", line 18, in healthz"],
        ),
        ("dies", &["exit status 3"]),
        ("leaves", &[]),
    ] {
        let output = reload(&flupd, mode);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{mode}: {told}");
        assert!(why.iter().all(|why| told.contains(why)), "{mode}: {told}");
        // Its process may be seen to end before the gateway has said why.
        let left =
            ["the app called sys.exit", "exit status 1"].iter().any(|why| told.contains(why));
        assert_eq!(left, mode == "leaves", "{mode}: {told}");
        assert!(asks(&flupd).starts_with("1 "), "{mode}");
    }
    // The log is written by a thread of its own.
    wait::until("all failures are logged", || {
        let log = flupd.log();
        let count = |what| log.matches(what).count();
        let (probes, reloads) = (count("the probe has failed"), count("the reload has failed"));
        matches!((probes, reloads), (3 | 4, 5)) && log.contains("the app called sys.exit(1)")
    });
    let output = reload(&flupd, "moved");
    assert!(output.status.success(), "{output:?}");
    assert!(asks(&flupd).starts_with("moved "));
}

#[test]
fn a_new_generation_that_answers_badly_gets_no_request() {
    bad_answers(2, &[]);
}

#[test]
fn a_preloaded_generation_that_answers_badly_gets_no_request() {
    bad_answers(1, &["--preload", "--threads", "1"]);
}

/// Each worker of a new generation is asked, and nobody counts it.
#[test]
fn the_probe_is_known_to_the_app_and_in_no_log_of_requests() {
    let mounted = ["--script-name", "/shop", "--probe-host", "shop.example.org"];
    let logged = ["--workers", "2", "--access-log", "access.log"];
    let flupd = ready(deployed().args(logged).args(mounted));
    assert!(reload(&flupd, "good").status.success());
    let all = asked(&flupd);
    let expected = "FLUPD_PROBE=1 HTTP_HOST=shop.example.org REMOTE_ADDR=127.0.0.1 \
                    SCRIPT_NAME=/shop PATH_INFO=/healthz QUERY_STRING=deep=1";
    assert!(all.iter().all(|seen| seen.starts_with(expected)), "{all:?}");
    let (new, first): (Vec<_>, Vec<_>) = all.iter().partition(|seen| seen.ends_with(" good"));
    assert_eq!(new.len(), 2, "{all:?}");
    // The second of the first ones is not asked if its code has been proved by then.
    assert!((1..=2).contains(&first.len()), "{all:?}");
    // A client can ask for the same path, and is none.
    let mut stream = flupd.connect();
    let headers = fcgi::request(1, 0, "GET", "/shop/healthz", b"");
    stream.write_all(&headers).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    assert!(asked(&flupd).last().unwrap().starts_with("FLUPD_PROBE=None"));
    wait::until("the client's request is logged", || {
        fs::read_to_string(flupd.file("access.log")).is_ok_and(|log| log.contains("/shop/healthz"))
    });
    let log = fs::read_to_string(flupd.file("access.log")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
}

/// A worker that crashes is replaced by one that is not asked.
#[test]
fn a_replacement_is_not_asked() {
    let flupd = ready(deployed());
    assert_eq!(asked(&flupd).len(), 1);
    let pid = asks(&flupd).split(' ').nth(1).unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    flupd.wait_for_log("replacement worker is ready");
    assert!(asks(&flupd).starts_with("1 "));
    assert_eq!(asked(&flupd).len(), 1);
}

#[test]
fn a_first_start_that_answers_badly_ends_with_the_reason() {
    let serve = deployed().args(["--fastcgi", "unix:app.sock"]);
    let path = serve.dir().join("probed.py");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("MODE = \"good\"", "MODE = \"raises\"")).unwrap();
    let (code, log) = serve.refused();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the probe has failed") && log.contains("no such table: carts"), "{log}");
}

/// What Flask makes of an exception: a page with 500, and the traceback in its log.
#[test]
fn the_traceback_of_a_framework_is_told() {
    let code = |body: &str| {
        format!(
            "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/healthz')\n\
             def healthz():\n    {body}\n"
        )
    };
    let serve = Serve::app("shop:app").args(["--probe", "/healthz"]);
    let serve = serve.args(["--python".as_ref(), frameworks().as_os_str()]);
    fs::write(serve.dir().join("shop.py"), code("return 'well'")).unwrap();
    let flupd = ready(serve);
    fs::write(flupd.file("shop.py"), code("return carts")).unwrap();
    let output = flupd.order(&["reload"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in ["answered 500 INTERNAL SERVER ERROR", "Traceback", "NameError: name 'carts'"] {
        assert!(told.contains(part), "{told}");
    }
}
