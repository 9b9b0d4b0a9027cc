//! The scripts of script-examples/, with the demo's sites and a virtualenv beside
//! them, as a user lays them out.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::way::{Site, Way};
use crate::harness::script::Script;
use crate::harness::{python, source};

fn site(way: Way, example: &str, demo: &str) -> Script {
    let script = Script::example(example);
    let demo = source(demo).join(".");
    let copied = Command::new("cp").arg("-r").arg(demo).arg(script.dir()).status().unwrap();
    assert!(copied.success());
    // Its own site-packages decide, not where it stands.
    symlink(python::frameworks(), script.file("venv")).unwrap();
    for option in way.options().split_terminator("  ") {
        // As a user does: one of the lines is put to use.
        let text = std::fs::read_to_string(script.path()).unwrap();
        let line = format!("## flupd: {option}");
        assert!(text.contains(&line), "{example} no longer has {line:?}");
        script.write("", &text.replace(&line, &line[1..]));
    }
    script
}

fn flask(way: Way) {
    let site = way.start(site(way, "script-examples/flask.fcgi", "demo/flaskapp"));
    for target in ["/", "/?x"] {
        let answer = site.get(target);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().contains("Hello stranger"), "{answer:?}");
    }
    assert_eq!(site.get("/no-such-page").status, 404);
}

#[test]
fn flask_started_by_lighttpd() {
    flask(Way::LighttpdFastcgi);
    flask(Way::LighttpdScgi);
}

#[test]
fn django_started_by_lighttpd() {
    let script = site(Way::LighttpdFastcgi, "script-examples/django.fcgi", "demo/djangosite");
    migrate(&script);
    let site: Site = Way::LighttpdFastcgi.start(script);
    let answer = site.get("/admin/login/");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("csrfmiddlewaretoken"), "{answer:?}");
}

fn migrate(script: &Script) {
    let manage = |data: &Path| {
        let mut command = Command::new(script.file("venv/bin/python"));
        command.arg(script.file("manage.py")).args(["migrate", "--verbosity", "0"]);
        command.env("DEMO_DATA", data).output().unwrap()
    };
    let output = manage(script.dir());
    assert!(output.status.success(), "{output:?}");
}
