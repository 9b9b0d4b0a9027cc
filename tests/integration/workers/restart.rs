//! `flupd restart`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use super::{served, under_load, until_workers, workers};
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::{app, wait};

fn restart(flupd: &Flupd, words: &[&str]) -> Output {
    let mut command = flupd::command();
    command.arg("restart").args(words).arg("--control").arg(flupd.file("app.sock.control"));
    command.output().unwrap()
}

fn restarts(flupd: &Flupd) {
    let output = restart(flupd, &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// All are others, and there were never fewer.
fn under_load_all_are_replaced(options: &[&str]) {
    let site = &served("3", options);
    let flupd = &site.flupd;
    until_workers(flupd, 3);
    let mut before = workers(flupd, None);
    under_load(site, 4, || {
        for _ in 0..3 {
            restarts(flupd);
            wait::until("three are ready", || workers(flupd, None).len() == 3);
            let now = workers(flupd, None);
            assert!(now.is_disjoint(&before), "{now:?} {before:?}");
            before = now;
        }
    });
    let (mut ready, mut log) = (3, flupd.log());
    for line in std::mem::take(&mut log).lines() {
        ready += i32::from(line.contains("replacement worker is ready"));
        ready -= i32::from(line.contains("worker left"));
        assert!(ready >= 3, "{ready} at {line}");
        assert!(!line.contains("ERROR") && !line.contains("WARN"), "{line}");
    }
}

#[test]
fn all_are_replaced_under_load() {
    under_load_all_are_replaced(&[]);
}

#[test]
fn all_are_replaced_under_load_with_preload() {
    under_load_all_are_replaced(&["--preload"]);
}

#[test]
fn all_are_replaced_under_load_in_solo_mode() {
    let serve = Serve::app(&app("waiting.py")).args(["--workers", "2"]);
    let site = &Front::NginxSolo.serve_with(serve);
    site.flupd.wait_for_log(" ready");
    let before: BTreeSet<_> = site.flupd.tree().into_iter().collect();
    under_load(site, 4, || {
        restarts(&site.flupd);
        wait::until("two others are left", || {
            let now: BTreeSet<_> = site.flupd.tree().into_iter().collect();
            now.len() == 3 && now.intersection(&before).count() == 1
        });
    });
}

fn deployed(options: &[&str]) -> (Site, String) {
    let serve = Serve::app("versioned:application").args(options);
    let text = fs::read_to_string(app("versioned.py")).unwrap();
    fs::write(serve.dir().join("versioned.py"), &text).unwrap();
    let site = Front::NginxKeepConn.serve_with(serve);
    site.flupd.wait_for_log(" ready");
    (site, text)
}

/// New code is taken, and code that is broken is not.
fn code(options: &[&str]) {
    let (site, text) = deployed(options);
    let path = site.flupd.file("versioned.py");
    let line = text.lines().find(|line| line.starts_with("VERSION = ")).unwrap();
    let version = || site.get("/").text().split(' ').next().unwrap().to_owned();
    for round in ["'two'", "'three'"] {
        fs::write(&path, text.replace(line, &format!("VERSION = {round}"))).unwrap();
        restarts(&site.flupd);
        assert_eq!(format!("'{}'", version()), round);
        let before = workers(&site.flupd, None);
        fs::write(&path, "import no_such_module\n").unwrap();
        let output = restart(&site.flupd, &[]);
        assert_eq!(output.status.code(), Some(1));
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("No module named 'no_such_module'"), "{why}");
        assert_eq!(format!("'{}'", version()), round);
        assert_eq!(workers(&site.flupd, None), before);
    }
}

#[test]
fn new_code_and_broken_code() {
    code(&["--workers", "2"]);
}

#[test]
fn new_code_and_broken_code_with_preload() {
    code(&["--workers", "2", "--preload"]);
}

/// It needs no configuration that can be read, and touches no other app.
#[test]
fn one_app_while_the_file_is_broken() {
    let app = app("waiting.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = {app:?}\nworkers = 2\nprefix = \"/shop\"\n\
         [apps.blog]\napp = {app:?}\nworkers = {{ min = 1, max = 2 }}\nprefix = \"/blog\"\n"
    ))
    .on_its_socket();
    flupd.wait_for_log(" ready");
    wait::until("there are all", || {
        workers(&flupd, Some("shop")).len() == 2 && workers(&flupd, Some("blog")).len() == 1
    });
    let (shop, blog) = (workers(&flupd, Some("shop")), workers(&flupd, Some("blog")));
    flupd.write_config("this is no configuration");
    assert!(restart(&flupd, &["blog"]).status.success());
    assert!(workers(&flupd, Some("blog")).is_disjoint(&blog));
    assert_eq!(workers(&flupd, Some("shop")), shop);
    assert!(restart(&flupd, &[]).status.success());
    assert!(workers(&flupd, Some("shop")).is_disjoint(&shop));
    let output = restart(&flupd, &["bolg"]);
    assert_eq!(output.status.code(), Some(1));
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("there is no app \"bolg\"; there are: blog, shop"), "{why}");
}
