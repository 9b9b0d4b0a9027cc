//! The commands that speak with a flupd that runs.

use std::fs;
use std::io::ErrorKind::Interrupted;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Signal, kill_process};

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::{app, source, temp_dir, wait};

/// The control socket that goes with [`Flupd::socket`].
fn control(flupd: &Flupd) -> PathBuf {
    flupd.file("app.sock.control")
}

fn order(flupd: &Flupd, words: &[&str]) -> Output {
    let mut command = flupd::command();
    command.args(words).arg("--control").arg(control(flupd));
    command.output().unwrap()
}

fn done(flupd: &Flupd, words: &[&str]) {
    let output = order(flupd, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

fn refused(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// It takes orders when it is ready: the socket is there a little before.
fn ready(serve: Serve) -> Flupd {
    let flupd = serve.on_fastcgi();
    flupd.wait_for_log("ready");
    flupd
}

fn deployed() -> Serve {
    let serve = Serve::app("versioned:application");
    fs::copy(app("versioned.py"), serve.dir().join("versioned.py")).unwrap();
    serve
}

/// It returns when the new generation has taken over, or says why that has not.
#[test]
fn reload_waits_for_its_outcome() {
    let flupd = ready(deployed());
    let before = flupd.tree();
    done(&flupd, &["reload"]);
    // The log is written by another thread.
    flupd.wait_for_log(" reloaded");
    wait::until("the old worker has gone", || {
        let now = flupd.tree();
        now.len() == before.len() && now != before
    });

    fs::write(flupd.file("versioned.py"), "import no_such_module\n").unwrap();
    let why = refused(order(&flupd, &["reload"]));
    assert!(why.contains("ModuleNotFoundError: No module named 'no_such_module'"), "{why}");

    let why = refused(order(&flupd, &["reload", "shop"]));
    assert!(why.contains("has one app, without a name"), "{why}");
}

#[test]
fn one_app_is_reloaded_and_the_others_stay() {
    let app = app("answers.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = {app:?}\nworkers = 1\nprefix = \"/shop\"\n\
         [apps.blog]\napp = {app:?}\nworkers = 1\nprefix = \"/blog\"\n"
    ))
    .on_its_socket();
    flupd.wait_for_log("ready");
    let before = flupd.tree();
    let mut command = flupd::command();
    command.args(["reload", "blog", "--config"]).arg(flupd.file("flupd.toml"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    wait::until("the old worker has gone", || flupd.tree().len() == before.len());
    // Supervisor, gateway and the worker of the shop.
    let stayed = flupd.tree().iter().filter(|pid| before.contains(pid)).count();
    assert_eq!(stayed, 3);
    let why = refused(order(&flupd, &["reload", "bolg"]));
    assert!(why.contains("there is no app \"bolg\"; there are: blog, shop"), "{why}");
}

#[test]
fn stop_returns_when_flupd_has_ended() {
    let mut flupd = ready(deployed());
    done(&flupd, &["stop"]);
    assert_eq!(flupd.wait().code(), Some(0));
    assert!(!control(&flupd).exists());
    let why = refused(order(&flupd, &["stop"]));
    assert!(why.contains("no flupd has its control socket at"), "{why}");
}

#[test]
fn the_log_level_changes_everywhere() {
    let flupd = ready(deployed());
    done(&flupd, &["log-level", "debug"]);
    done(&flupd, &["reload"]);
    flupd.wait_for_log("worker is ready");
    done(&flupd, &["log-level", "error"]);
    done(&flupd, &["reload"]);
    assert_eq!(flupd.log().matches(" reloaded").count(), 1, "the second one is not said");
}

#[test]
fn log_files_are_opened_again() {
    let serve = deployed();
    let log = serve.dir().join("flupd.log.1");
    let flupd = serve.args(["--log", log.to_str().unwrap()]).on_fastcgi();
    wait::until("it is ready", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready"))
    });
    fs::rename(&log, flupd.file("flupd.log.2")).unwrap();
    done(&flupd, &["reopen-logs"]);
    done(&flupd, &["reload"]);
    wait::until("the new file is written", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains(" reloaded"))
    });
}

#[test]
fn only_the_owner_may_give_orders() {
    let flupd = ready(deployed());
    let mode = fs::metadata(control(&flupd)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let none = ready(deployed().args(["--control", "off"]));
    assert!(!control(&none).exists());
}

/// What is no order is answered so, and harms nobody.
#[test]
fn nonsense_is_refused() {
    let flupd = ready(deployed());
    for (said, answer) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "this is no order"),
        (b"{\"version\":99,\"order\":\"stop\"}\n", "another version"),
        (&[b'x'; 10_000], "this is no order"),
    ] {
        let mut stream = UnixStream::connect(control(&flupd)).unwrap();
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        // It may be answered before all of it is taken.
        let _ = stream.write_all(said);
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.contains(answer), "{text}");
    }
    // One that says nothing holds up nobody.
    let _silent = UnixStream::connect(control(&flupd)).unwrap();
    done(&flupd, &["reload"]);
}

/// `sd_notify(3)` with a socket of our own in systemd's place.
#[test]
fn systemd_is_told() {
    let serve = deployed();
    let path = serve.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    let hears = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{wanted}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(wanted)) {
                return text;
            }
        }
    };
    let mut flupd = serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").on_fastcgi();
    let ready = hears("READY=1");
    assert!(ready.contains(&format!("MAINPID={}", flupd.pid())), "{ready}");
    hears("WATCHDOG=1");
    flupd.signal(Signal::HUP);
    let reloading = hears("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hears("READY=1");
    flupd.signal(Signal::TERM);
    hears("STOPPING=1");
    assert_eq!(flupd.wait().code(), Some(0));
}

/// A gateway that lives but does nothing is noticed and replaced, and systemd goes on
/// hearing that all is well.
#[test]
fn a_gateway_that_hangs_is_replaced() {
    let serve = deployed();
    let path = serve.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    let flupd = serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000").on_fastcgi();
    flupd.wait_for_log("ready");
    let gateway = flupd.gateway();
    kill_process(gateway, Signal::STOP).unwrap();
    let mut buffer = [0; 4096];
    wait::until("it is noticed", || {
        let heard = socket.recv(&mut buffer);
        // The kernel may wake up whoever has a child that is stopped.
        assert!(heard.as_ref().map_or_else(|e| e.kind() == Interrupted, |_| true), "{heard:?}");
        flupd.log().contains("gateway hangs")
    });
    flupd.wait_for_log("replacement gateway listens");
    assert_ne!(flupd.gateway(), gateway);
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    // What was said of the new gateway may come first.
    wait::until("the watchdog is fed", || {
        let length = socket.recv(&mut buffer).unwrap();
        &buffer[..length] == b"WATCHDOG=1\n"
    });
}

/// None of the signals that mean flupd as a whole harm the gateway.
#[test]
fn the_gateway_passes_over_what_is_meant_for_the_supervisor() {
    let mut flupd = ready(deployed());
    let gateway = flupd.gateway();
    let signals =
        [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::USR1, Signal::USR2];
    for signal in signals {
        kill_process(gateway, signal).unwrap();
    }
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    assert_eq!(flupd.gateway(), gateway);
    flupd.signal(Signal::QUIT);
    assert_eq!(flupd.wait().code(), Some(0));
    assert!(!flupd.log().contains("gateway ended"), "{}", flupd.log());
}

/// What was begun is finished after SIGQUIT, and cut by a second one.
#[test]
fn sigquit_is_graceful_once() {
    let mut flupd = ready(Serve::app(&app("waiting.py")));
    let started = flupd.file("started");
    let held = format!("/hold?started={}&gate=/nonexistent", started.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &held, b"")).unwrap();
    wait::until_exists(&started);
    flupd.signal(Signal::QUIT);
    flupd.wait_for_log("stopping: finishing the running requests");
    assert!(flupd.is_running());
    flupd.signal(Signal::QUIT);
    assert_eq!(flupd.wait().code(), Some(1));
}

/// The unit that users copy means something to systemd.
#[test]
fn the_unit_is_valid() {
    let unit = fs::read_to_string(source("systemd-examples/flupd.service")).unwrap();
    let dir = temp_dir();
    let path = dir.path().join("flupd.service");
    fs::write(&path, unit.replace("/usr/local/bin/flupd", flupd::FLUPD)).unwrap();
    let output = match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(output) => output,
        Err(_) => {
            println!("skipped: there is no systemd-analyze on this machine");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // It also speaks of units of this machine.
    let ours: Vec<_> = text.lines().filter(|line| line.contains("flupd.service")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
