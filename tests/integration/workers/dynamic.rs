//! Apps with as many workers as the requests need.

use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::{Held, pid, served, status, under_load, until_workers, workers};
use crate::harness::flupd::Serve;
use crate::harness::{app, wait};

/// The number follows the load in both directions; one is kept to spare.
#[test]
fn up_and_down_with_the_load() {
    let site = &served("1..5", &["--idle-timeout", "1"]);
    let flupd = &site.flupd;
    until_workers(flupd, 1);
    thread::scope(|scope| {
        let one = Held::begin(scope, site, "one", 1);
        until_workers(flupd, 2);
        let two = Held::begin(scope, site, "two", 2);
        until_workers(flupd, 4);
        // Never past the most.
        let more = Held::begin(scope, site, "more", 6);
        wait::until("the rest waits", || status(flupd, None)["waiting"] == 4);
        assert_eq!(workers(flupd, None).len(), 5);
        more.end();
        until_workers(flupd, 4);
        two.end();
        until_workers(flupd, 2);
        one.end();
    });
    until_workers(flupd, 1);
    let log = flupd.log();
    assert!(log.contains("more workers are needed more=1 workers=2"), "{log}");
    assert!(log.contains("worker is not needed and leaves"), "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn up_and_down_with_preload() {
    let site = &served("1..4", &["--idle-timeout", "1", "--preload"]);
    thread::scope(|scope| {
        let held = Held::begin(scope, site, "gate", 8);
        until_workers(&site.flupd, 4);
        held.end();
    });
    until_workers(&site.flupd, 1);
}

/// The load changes all the time, and so do the workers.
#[test]
fn no_request_is_lost_meanwhile() {
    let site = &served("1..4", &["--idle-timeout", "0.2", "--spare", "0"]);
    for _ in 0..3 {
        under_load(site, 6, || until_workers(&site.flupd, 4));
        until_workers(&site.flupd, 1);
    }
}

/// A worker that is killed is replaced, whatever else is going on.
#[test]
fn killed_while_they_come_and_go() {
    let site = &served("2..4", &["--idle-timeout", "0.2"]);
    for round in 0..3 {
        thread::scope(|scope| {
            let held = Held::begin(scope, site, &format!("gate-{round}"), 6);
            wait::until("they come", || workers(&site.flupd, None).len() > 2);
            // Those that hold a request are asked for no answer.
            let busy = pid_without_request(site);
            if let Some(pid) = busy {
                kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
            }
            until_workers(&site.flupd, 4);
            held.end();
        });
        until_workers(&site.flupd, 2);
        pid(site);
    }
}

/// One that is ready and does nothing, if there is one.
fn pid_without_request(site: &crate::harness::front::Site) -> Option<i32> {
    let told = status(&site.flupd, None);
    let idle = told["workers"].as_array().unwrap().iter().find(|one| one["busy"] == 0);
    idle.map(|one| i32::try_from(one["pid"].as_i64().unwrap()).unwrap())
}

/// The new generation begins with as many as the old one has.
#[test]
fn reloaded_under_load() {
    let site = &served("1..4", &["--idle-timeout", "2"]);
    under_load(site, 6, || {
        until_workers(&site.flupd, 4);
        let before = workers(&site.flupd, None);
        site.flupd.signal(Signal::HUP);
        wait::until("the new generation has the requests", || {
            let now = workers(&site.flupd, None);
            now.len() == 4 && now.is_disjoint(&before)
        });
    });
    until_workers(&site.flupd, 1);
}

/// Each app has its own mode.
#[test]
fn two_apps_in_different_modes() {
    let app = app("waiting.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = {app:?}\nworkers = 2\nprefix = \"/shop\"\n\
         [apps.blog]\napp = {app:?}\nworkers = {{ min = 1, max = 3, spare = 1 }}\nprefix = \"/blog\"\n\
         [apps.wiki]\napp = {app:?}\nworkers = \"on-demand\"\nidle-timeout = 1\nprefix = \"/wiki\"\n"
    ))
    .on_its_socket();
    flupd.wait_for_log(" ready");
    let size = |app: &str| workers(&flupd, Some(app)).len();
    wait::until("the wiki sleeps", || status(&flupd, Some("wiki"))["asleep"] == true);
    assert_eq!((size("shop"), size("blog"), size("wiki")), (2, 1, 0));
}
