//! Reloads: new code takes over, and no request notices.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

on_servers! { all: takes_over, broken_deploy; }

/// A copy of the app in the directory in which flupd runs, which a test can change.
fn deployed() -> Serve {
    let serve = Serve::app("versioned:application");
    fs::copy(app("versioned.py"), serve.dir().join("versioned.py")).unwrap();
    serve
}

fn deploy(flupd: &Flupd, version: &str) {
    change(flupd, version);
    flupd.signal(Signal::HUP);
}

/// Puts new code where the app is.
fn change(flupd: &Flupd, version: &str) {
    let path = flupd.file("versioned.py");
    let old = fs::read_to_string(&path).unwrap();
    let line = old.lines().find(|line| line.starts_with("VERSION = ")).unwrap();
    replace(&path, &old.replace(line, &format!("VERSION = {version}")));
}

/// As a deploy does it: the file is never half there.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn version(site: &Site) -> String {
    let answer = site.get("/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().split(' ').next().unwrap_or_default().to_owned()
}

fn count(flupd: &Flupd, what: &str) -> usize {
    flupd.log().matches(what).count()
}

fn takes_over(front: Front) {
    let site = front.serve_with(deployed().args(["--workers", "2"]));
    assert_eq!(version(&site), "1");
    let before = site.flupd.tree();
    deploy(&site.flupd, "'2'");
    site.flupd.wait_for_log("reloaded");
    wait::until("the new version answers", || version(&site) == "2");
    wait::until("the old workers have gone", || {
        let now = site.flupd.tree();
        // In solo mode there is no gateway that stays.
        let stay = if front == Front::NginxSolo { 1 } else { 2 };
        now.len() == before.len() && now.iter().filter(|pid| before.contains(pid)).count() == stay
    });
    assert_eq!(version(&site), "2");
}

/// A deploy that can't be imported, or that ends at its import, changes nothing.
fn broken_deploy(front: Front) {
    let site = front.serve_with(deployed());
    let before = site.get("/").text();
    for (failures, broken) in ["1 +", "__import__('os')._exit(3)"].into_iter().enumerate() {
        deploy(&site.flupd, broken);
        wait::until("the reload has failed", || {
            count(&site.flupd, "the reload has failed") == failures + 1
        });
        assert_eq!(site.get("/").text(), before);
    }
    let log = site.flupd.log();
    assert!(log.contains("SyntaxError") && log.contains("exit status 3"), "{log}");
    deploy(&site.flupd, "'good'");
    wait::until("the mended version answers", || version(&site) == "good");
}

/// `flupd reload` returns when the gateway has switched, not before.
#[test]
fn what_is_asked_after_the_order_is_answered_by_the_new_code() {
    let flupd = deployed().on_fastcgi();
    flupd.wait_for_log("ready");
    let mut kept = flupd.connect();
    for version in 2..12 {
        change(&flupd, &version.to_string());
        let done = flupd.order(&["reload"]);
        assert!(done.status.success(), "{done:?}");
        kept.write_all(&fcgi::request(1, 1, "GET", "/", b"")).unwrap();
        let text = Answer::read(&mut kept, 1).unwrap().body();
        assert!(text.starts_with(&format!("{version} ")), "{version}: {text}");
    }
}

/// Clients ask all the time, through connections that are kept.
fn under_load(front: Front, reloads: usize, options: &[&str]) -> usize {
    let site = &front.serve_with(deployed().args(options));
    let (stopped, answers) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let answer = site.get(if client == 0 { "/slow" } else { "/" });
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop::new(stopped);
        for reload in 1..=reloads {
            deploy(&site.flupd, &format!("'{reload}'"));
            wait::until("a reload is done", || count(&site.flupd, " reloaded") == reload);
        }
        wait::until("the last version answers", || version(site) == reloads.to_string());
    });
    answers.load(Ordering::Relaxed)
}

#[test]
fn no_request_fails_with_preloaded_workers() {
    let answers = under_load(Front::NginxKeepConn, 5, &["--workers", "2", "--preload"]);
    assert!(answers > 100, "{answers}");
}

/// A request that runs for long ends in the generation in which it began.
#[test]
fn running_request_is_finished() {
    let site = &Front::NginxKeepConn.serve("waiting.py");
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    thread::scope(|scope| {
        let held = scope.spawn(move || site.get(&target));
        wait::until_exists(&started);
        let before = site.get("/pid").text();
        site.flupd.signal(Signal::HUP);
        wait::until("the new worker answers", || site.get("/pid").text() != before);
        fs::write(gate, "").unwrap();
        assert_eq!(held.join().unwrap().text(), "held\n");
    });
    site.flupd.wait_for_log("worker left");
}

/// The configuration is read again: apps, their settings and listeners come and go.
#[test]
fn configuration_is_read_again() {
    let shop =
        format!("[apps.shop]\napp = {:?}\nworkers = 1\nprefix = \"/shop\"\n", app("answers.py"));
    let blog =
        format!("[apps.blog]\napp = {:?}\nworkers = 1\nprefix = \"/blog\"\n", app("wrong.py"));
    let first = "[[listen]]\nfastcgi = \"unix:app.sock\"\n";
    let second = "[[listen]]\nfastcgi = \"unix:second.sock\"\n";
    let flupd = Serve::config(&format!("{first}{shop}")).on_its_socket();
    let reload = |text: &str, times: usize| {
        flupd.write_config(text);
        flupd.signal(Signal::HUP);
        wait::until("a reload is done", || count(&flupd, " reloaded") == times);
    };
    let status = |socket: &str, target: &str| {
        let mut stream = UnixStream::connect(flupd.file(socket)).ok()?;
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
        let body = Answer::read(&mut stream, 1).unwrap().body();
        Some(if body.contains("404") { 404 } else { 200 })
    };
    assert_eq!(status("app.sock", "/shop/hello"), Some(200));
    assert_eq!(status("app.sock", "/blog/hello"), Some(404));
    // A connection that is kept sees the new routes as well.
    let mut kept = flupd.connect();
    kept.write_all(&fcgi::request(1, 1, "GET", "/shop/hello", b"")).unwrap();
    assert!(Answer::read(&mut kept, 1).unwrap().end.is_some());

    reload(&format!("{first}{second}{shop}{blog}"), 1);
    assert_eq!(status("app.sock", "/blog/hello"), Some(200));
    assert_eq!(status("second.sock", "/shop/hello"), Some(200));
    kept.write_all(&fcgi::request(1, 1, "GET", "/blog/hello", b"")).unwrap();
    assert!(!Answer::read(&mut kept, 1).unwrap().body().contains("404"));

    reload(&format!("{second}{blog}"), 2);
    wait::until("the shop has gone", || status("second.sock", "/shop/hello") == Some(404));
    assert_eq!(status("second.sock", "/blog/hello"), Some(200));
    wait::until("the first listener has gone", || status("app.sock", "/").is_none());
    assert!(!flupd.socket().exists());

    flupd.write_config("worker = 3\n");
    flupd.signal(Signal::HUP);
    flupd.wait_for_log("the reload has failed");
    assert!(flupd.log().contains("flupd.toml:1:1"), "{}", flupd.log());
    assert_eq!(status("second.sock", "/blog/hello"), Some(200));
}
