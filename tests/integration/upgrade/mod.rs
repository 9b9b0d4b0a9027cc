//! The program of flupd is replaced while it runs, and nobody notices.

mod asleep;
mod failures;
mod handed_over;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Signal, kill_process};

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::installed::Installed;
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

/// An app in the directory in which flupd runs, started from an installed program.
fn deployed(installed: &Installed) -> Serve {
    let serve = Serve::app("versioned:application").installed(installed);
    fs::copy(app("versioned.py"), serve.dir().join("versioned.py")).unwrap();
    // Also where there is no unix socket beside which it would stand.
    let control = serve.dir().join("app.sock.control");
    serve.args(["--control", control.to_str().unwrap()])
}

fn count(flupd: &Flupd, what: &str) -> usize {
    flupd.log().matches(what).count()
}

/// As a deploy does it: the file is never half there.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A request on this connection, which is kept.
fn ask(stream: &mut (impl std::io::Read + Write), target: &str) -> String {
    stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", target, b"")).unwrap();
    let answer = Answer::read(stream, 1).unwrap();
    assert!(answer.end.is_some());
    answer.body()
}

/// Clients ask all the time, and flupd is replaced again and again. No request may
/// fail, nor may one be lost in the access log.
fn under_load(front: Front, upgrades: usize, options: &[&str]) {
    let installed = &Installed::new();
    let serve = deployed(installed);
    let access = serve.dir().join("access.log");
    let serve = serve.args(["--access-log", access.to_str().unwrap(), "--graceful-timeout", "20"]);
    let site = &front.serve_with(serve.args(options));
    let first = installed.the_one();
    let (stopped, answers) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..6 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // What was sent must not be sent again: a POST is lost if its
                    // connection is closed at the wrong moment.
                    let request = match client {
                        0 => Request::get("/slow"),
                        1 | 2 => Request::get("/"),
                        _ => Request::post("/", vec![b'x'; 2000]),
                    };
                    let answer = site.send(&request);
                    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), site.web.error_log());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop::new(stopped);
        for upgrade in 1..=upgrades {
            let before = answers.load(Ordering::Relaxed);
            installed.replace();
            if upgrade == 1 {
                site.flupd.signal(Signal::USR2);
            } else {
                installed.upgrade(&site.flupd);
            }
            wait::until("it has taken over", || count(&site.flupd, "upgraded: ") == upgrade);
            installed.the_one();
            wait::until("answers go on", || answers.load(Ordering::Relaxed) > before + 20);
        }
    });
    assert_ne!(installed.the_one(), first);
    // Those that were served by flupd: HAProxy asks for itself, too.
    let lines = || fs::read_to_string(&access).unwrap_or_default();
    let mine = |line: &&str| line.contains("\"GET /") || line.contains("\"POST /");
    let asked = answers.load(Ordering::Relaxed);
    wait::until("every request has its line", || lines().lines().filter(mine).count() >= asked);
    assert_eq!(lines().lines().filter(mine).count(), asked);
}

#[test]
fn no_request_fails_through_kept_connections() {
    under_load(Front::NginxKeepConn, 5, &["--workers", "2"]);
}

#[test]
fn no_request_fails_through_multiplexed_connections() {
    under_load(Front::HaproxyMultiplexed, 5, &["--workers", "2"]);
}

#[test]
fn no_request_fails_with_preloaded_workers() {
    under_load(Front::NginxKeepConn, 2, &["--workers", "2", "--preload"]);
}

#[test]
fn no_request_fails_in_solo_mode() {
    under_load(Front::NginxSolo, 3, &["--workers", "2"]);
}

#[test]
fn no_request_fails_over_scgi() {
    under_load(Front::NginxScgi, 2, &["--workers", "2"]);
}

/// A connection that is kept is never closed: the new flupd goes on with it.
#[test]
fn a_kept_connection_stays_open() {
    let installed = Installed::new();
    let flupd = deployed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    let (mut kept, mut silent) = (flupd.connect(), flupd.connect());
    let before = ask(&mut kept, "/");
    for _ in 0..2 {
        installed.replace();
        installed.upgrade(&flupd);
        installed.the_one();
    }
    assert_ne!(ask(&mut kept, "/"), before, "another worker answers");
    ask(&mut silent, "/");
}

/// What has begun ends where it has begun, on a connection that then goes over.
#[test]
fn running_requests_are_finished() {
    let installed = Installed::new();
    let flupd = Serve::app(&app("waiting.py")).installed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let held = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let (mut running, mut uploading) = (flupd.connect(), flupd.connect());
    running.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", &held, b"")).unwrap();
    wait::until_exists(&started);
    let upload = fcgi::request(1, fcgi::KEEP_CONN, "POST", "/pid", &[b'x'; 3000]);
    let (half, rest) = upload.split_at(upload.len() - 1000);
    uploading.write_all(half).unwrap();
    let old = ask(&mut flupd.connect(), "/pid");

    installed.replace();
    installed.upgrade(&flupd);
    assert_eq!(installed.supervisors().len(), 2);
    assert_ne!(ask(&mut flupd.connect(), "/pid"), old);
    uploading.write_all(rest).unwrap();
    assert_eq!(Answer::read(&mut uploading, 1).unwrap().body(), old);
    fs::write(gate, "").unwrap();
    assert_eq!(Answer::read(&mut running, 1).unwrap().body(), "held\n");
    installed.the_one();
    for mut stream in [running, uploading] {
        assert_ne!(ask(&mut stream, "/pid"), old);
    }
}

/// A connection on which a request is always open goes over between two.
#[test]
fn a_busy_connection_goes_over() {
    let installed = Installed::new();
    let flupd = deployed(&installed).args(["--threads", "4"]).on_fastcgi();
    flupd.wait_for_log("ready");
    let mut stream = flupd.connect();
    let request = |id: u16| fcgi::request(id, fcgi::KEEP_CONN, "GET", "/slow", b"");
    stream.write_all(&request(1)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    installed.replace();
    let (stopped, upgraded) = (&AtomicBool::new(false), &AtomicBool::new(false));
    thread::scope(|scope| {
        let _stop = Stop::new(stopped);
        scope.spawn(|| {
            installed.upgrade(&flupd);
            installed.the_one();
            upgraded.store(true, Ordering::Relaxed);
        });
        let mut answers = BTreeMap::<u16, Answer>::new();
        // The next one is sent before the last one is answered.
        for id in 1.. {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let over = upgraded.load(Ordering::Relaxed);
            if !over {
                writer.write_all(&request(id + 1)).unwrap();
            }
            // They run side by side: the answers come in any order.
            while answers.entry(id).or_default().end.is_none() {
                let record = fcgi::next(&mut stream).unwrap().unwrap();
                answers.entry(record.id).or_default().take(record);
            }
            if over {
                break;
            }
        }
    });
}

/// The new one ends as any other, and leaves nothing behind.
#[test]
fn it_stops_as_always() {
    let installed = Installed::new();
    let mut flupd = deployed(&installed).args(["--preload"]).on_fastcgi();
    flupd.wait_for_log("ready");
    installed.upgrade(&flupd);
    assert!(flupd.wait().success());
    assert!(flupd.socket().exists());
    kill_process(installed.the_one(), Signal::QUIT).unwrap();
    wait::until("it has ended", || installed.supervisors().is_empty());
    assert!(!flupd.socket().exists() && !flupd.file("app.sock.control").exists());
    assert_eq!(count(&flupd, "INFO stopped"), 2);
}
