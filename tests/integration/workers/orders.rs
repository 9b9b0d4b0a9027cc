//! Orders about workers.

use std::process::Output;
use std::thread;

use super::{Held, served, status, under_load, until_workers, workers};
use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::{app, wait};

fn order(flupd: &Flupd, words: &[&str]) -> Output {
    let mut command = flupd::command();
    command.args(words).arg("--control").arg(flupd.file("app.sock.control"));
    command.output().unwrap()
}

fn done(flupd: &Flupd, words: &[&str]) {
    let output = order(flupd, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

fn refused(flupd: &Flupd, words: &[&str], code: i32) -> String {
    let output = order(flupd, words);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn scale_a_fixed_number_under_load() {
    let site = &served("2", &[]);
    under_load(site, 4, || {
        for number in [5, 1, 3] {
            done(&site.flupd, &["scale", &number.to_string()]);
            until_workers(&site.flupd, number);
            wait::until("the others have gone", || site.flupd.tree().len() == number + 2);
        }
    });
    // A reload takes what was configured.
    done(&site.flupd, &["reload"]);
    until_workers(&site.flupd, 2);
}

/// What runs is finished, however long it takes.
#[test]
fn scale_down_while_all_are_busy() {
    let site = &served("3", &["--graceful-timeout", "1"]);
    thread::scope(|scope| {
        let held = Held::begin(scope, site, "gate", 3);
        let busy = || {
            let told = status(&site.flupd, None);
            let workers = told["workers"].as_array().unwrap();
            workers.iter().filter(|one| one["busy"] == 1).count()
        };
        wait::until("all are busy", || busy() == 3);
        done(&site.flupd, &["scale", "1"]);
        thread::sleep(std::time::Duration::from_secs(2));
        assert_eq!(busy(), 3);
        held.end();
    });
    wait::until("one is left", || site.flupd.tree().len() == 3);
}

#[test]
fn scale_the_bounds() {
    let site = &served("1..2", &["--idle-timeout", "0.5"]);
    let flupd = &site.flupd;
    let bounds = || {
        let told = status(flupd, None);
        (told["workers_min"].as_u64().unwrap(), told["workers_max"].as_u64().unwrap())
    };
    for (ordered, told) in [("4", (1, 4)), ("2..3", (2, 3)), ("1", (1, 1)), ("6", (1, 6))] {
        done(flupd, &["scale", ordered]);
        wait::until("the bounds are told", || bounds() == told);
    }
    thread::scope(|scope| {
        let held = Held::begin(scope, site, "gate", 5);
        until_workers(flupd, 6);
        done(flupd, &["scale", "5"]);
        until_workers(flupd, 5);
        held.end();
    });
    until_workers(flupd, 1);
}

#[test]
fn what_cannot_be_ordered() {
    let app = app("waiting.py");
    let flupd = Serve::config(&format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n\
         [apps.shop]\napp = {app:?}\nworkers = 1\nprefix = \"/shop\"\n\
         [apps.blog]\napp = {app:?}\nworkers = \"on-demand\"\nprefix = \"/blog\"\n"
    ))
    .on_its_socket();
    flupd.wait_for_log(" ready");
    for (words, code, why) in [
        (&["scale", "2"][..], 1, "there are several apps; name one: blog, shop"),
        (&["scale", "shap", "2"], 1, "there is no app \"shap\"; there are: blog, shop"),
        (&["scale", "shop", "1..2"], 1, "has a fixed number of workers; give one number"),
        (&["scale", "blog", "1..2"], 1, "has workers on demand"),
        (&["scale", "shop", "0"], 1, "write numbers from 1 to 1024"),
        (&["scale", "shop", "many"], 2, "\"many\": write a number such as 4"),
        (&["scale", "shop", "on-demand"], 2, "write a number such as 4"),
    ] {
        let told = refused(&flupd, words, code);
        assert!(told.contains(why), "{words:?}: {told}");
    }
    assert_eq!(workers(&flupd, Some("shop")).len(), 1);
    done(&flupd, &["scale", "shop", "2"]);
    wait::until("there are two", || workers(&flupd, Some("shop")).len() == 2);
}
