//! Reloads under load: a hundred thousand requests through kept connections, twenty
//! reloads, each with other code, and no answer that is not a whole 200. Fewer behind
//! Apache, which is slower.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::Front;
use crate::harness::kept::Kept;
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

/// How many requests, and how many reloads among them.
type Load = (usize, usize);

const HEAVY: Load = (100_000, 20);
const LIGHT: Load = (10_000, 10);

const CLIENTS: usize = 8;

/// Puts this version where the app is, and has flupd take it.
fn deploy(flupd: &Flupd, version: usize) {
    let text = fs::read_to_string(app("versioned.py")).unwrap();
    let text = text.replace("VERSION = \"1\"", &format!("VERSION = \"{version}\""));
    fs::write(flupd.file("versioned.new"), text).unwrap();
    fs::rename(flupd.file("versioned.new"), flupd.file("versioned.py")).unwrap();
    let done = flupd.order(&["reload"]);
    assert!(done.status.success(), "{done:?}");
}

/// How often each version has answered.
fn versions(front: Front, (requests, reloads): Load) -> BTreeMap<usize, usize> {
    let size = ["--workers", "2", "--threads", "1"];
    // HAProxy speaks over TCP: there is no unix socket beside which it could stand.
    let control = ["--control", "app.sock.control"];
    let serve = Serve::app("versioned:application").args(size).args(control);
    fs::copy(app("versioned.py"), serve.dir().join("versioned.py")).unwrap();
    let site = &front.serve_with(serve);
    site.flupd.wait_for_workers(2);
    let (stopped, asked) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let (newest, answers) = (&AtomicUsize::new(1), &Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        let stop = Stop::new(stopped);
        for _ in 0..CLIENTS {
            scope.spawn(move || {
                let mut client = Kept::new(site.web.address());
                let mut own = BTreeMap::<usize, usize>::new();
                while !stopped.load(Ordering::Relaxed) {
                    // What `flupd reload` has said before the request holds for it.
                    let least = newest.load(Ordering::SeqCst);
                    let text = client.get("/").unwrap();
                    let version: usize = text.split(' ').next().unwrap().parse().unwrap();
                    assert!(version >= least, "{version} has answered after {least} took over");
                    *own.entry(version).or_default() += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                let mut all = answers.lock().unwrap();
                own.iter().for_each(|(version, count)| *all.entry(*version).or_default() += count);
            });
        }
        let so_many = |count| {
            wait::until("enough requests are answered", || asked.load(Ordering::Relaxed) >= count)
        };
        for reload in 1..=reloads {
            so_many(requests / (reloads + 1) * reload);
            deploy(&site.flupd, reload + 1);
            newest.store(reload + 1, Ordering::SeqCst);
        }
        so_many(requests);
        drop(stop);
    });
    let log = site.flupd.log();
    for wrong in ["worker died", "request refused", "is cut"] {
        assert!(!log.contains(wrong), "{log}");
    }
    answers.lock().unwrap().clone()
}

fn all_of_them_answered(front: Front, load: Load) {
    let (requests, reloads) = load;
    let versions = versions(front, load);
    assert_eq!(versions.len(), reloads + 1, "{versions:?}");
    let sum: usize = versions.values().sum();
    assert!(sum >= requests, "{versions:?}");
}

#[test]
fn no_request_fails_through_kept_connections() {
    all_of_them_answered(Front::NginxKeepConn, HEAVY);
}

#[test]
fn no_request_fails_through_multiplexed_connections() {
    all_of_them_answered(Front::HaproxyMultiplexed, HEAVY);
}

#[test]
fn no_request_fails_through_apaches_reused_connections() {
    all_of_them_answered(Front::ApacheReuse, LIGHT);
}
