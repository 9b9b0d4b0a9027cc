//! Every way to name an app, and every way to fail at it.

use flupd_channel::startup::WorkerStatus;

use crate::support::{Start, apps, pythons};

fn start(app: &str) -> Start {
    let chdir = Some(apps().join("forms"));
    Start { chdir, path: vec![apps().join("forms/lib")], ..Start::app(app) }
}

#[test]
fn every_form_loads() {
    let file = apps().join("forms/site.wsgi").display().to_string();
    for python in pythons() {
        for (app, resolved, body) in [
            ("plain:application", "plain:application", "plain application"),
            ("plain:app", "plain:app", "app"),
            ("plain:Holder.inner", "plain:Holder.inner", "app"),
            ("plain:make()", "plain:make()", "app"),
            ("plain", "plain:application", "plain application"),
            ("only_app", "only_app:app", "app"),
            ("package", "package.wsgi:application", "plain application"),
            ("loaded", "loaded:app", "app"),
            ("package.wsgi", "package.wsgi:application", "plain application"),
            ("package.wsgi:application", "package.wsgi:application", "plain application"),
            ("extra", "extra:application", "plain application"),
            ("plain.py", "plain.py:application", "plain application"),
            ("./plain.py:app", "./plain.py:app", "app"),
            ("plain.py:make()", "plain.py:make()", "app"),
            ("lib/../only_app.py", "lib/../only_app.py:app", "app"),
            ("passenger", "passenger:application", "passenger passenger True"),
            ("passenger:application", "passenger:application", "passenger passenger True"),
            // `site` is Python's own module.
            ("site.wsgi", "site.wsgi:application", "flupd_app_site site.wsgi True"),
            (&file, &format!("{file}:application"), "flupd_app_site site.wsgi True"),
        ] {
            let (mut worker, status) = start(app).on(python);
            let version = python.version.clone();
            let ready = WorkerStatus::Ready { python: version, app: resolved.into() };
            assert_eq!(status, ready, "{python}: {app}");
            assert_eq!(worker.get("/").text(), body, "{python}: {app}");
        }
    }
}

#[test]
fn failures_say_what_was_tried() {
    let names = "it defines these callables: Holder, app, application, make";
    for python in pythons() {
        for (app, words) in [
            ("", &["neither a module's name nor an existing file"][..]),
            ("missing", &["the module missing was not found", "sys.path is ["]),
            (
                "missing.wsgi",
                &["the module missing.wsgi was not found", "nor a file missing.wsgi in"],
            ),
            ("missing.py", &["the file missing.py can't be read: No such file", "apps/forms)"]),
            ("package.missing", &["the module package.missing was not found"]),
            ("plain.inner", &["the module plain.inner was not found", "is not a package"]),
            ("needs_more", &["importing needs_more failed\nTraceback", "not_installed"]),
            ("broken", &["importing broken failed\nTraceback", "in inner", "while importing"]),
            ("broken.py", &["running broken.py failed\nTraceback", "in inner", "while importing"]),
            ("syntax", &["importing syntax failed\n", "SyntaxError", "def broken(:"]),
            ("exits", &["was ended by SystemExit\n", "SystemExit: not without its settings"]),
            ("plain:missing", &["plain has no attribute \"missing\"", names]),
            ("plain:Holder.no", &["plain.Holder has no attribute \"no\"", names]),
            ("plain:number", &["plain:number is not callable: it is of the type int"]),
            ("plain:number()", &["plain:number() is not callable: it is of the type int"]),
            (
                "plain:make_none()",
                &["what plain:make_none() returned is not callable: it is of the type NoneType"],
            ),
            (
                "plain:make_with()",
                &["calling plain:make_with() failed\nTypeError: make_with() missing 1"],
            ),
            ("plain:make_broken()", &["Traceback", "the factory's own fault"]),
            ("plain:make(1)", &["called without arguments"]),
            (
                "nothing",
                &[
                    "no app was found in nothing: tried nothing:application, nothing:app; it defines nothing",
                ],
            ),
            ("library", &["tried library:application, library:app, library.wsgi;"]),
            ("sick", &["importing sick.wsgi failed\nTraceback", "a sick wsgi module"]),
            ("lib/missing.py", &["the file lib/missing.py can't be read"]),
            ("./package", &["./package is not a file"]),
        ] {
            let (mut worker, status) = start(app).on(python);
            let WorkerStatus::Failed { error } = status else {
                panic!("{python}: {app}: {status:?}");
            };
            for word in words {
                assert!(error.contains(word), "{python}: {app}: {word:?} not in {error}");
            }
            let (status, stdout, stderr) = worker.ended();
            assert_eq!((status.code(), &*stdout, &*stderr), (Some(1), "", ""), "{python}: {app}");
        }
    }
}

#[test]
fn a_directory_that_does_not_exist_is_named() {
    for python in pythons() {
        let start = Start { chdir: Some(apps().join("missing")), ..Start::app("hello") };
        let (_, WorkerStatus::Failed { error }) = start.on(python) else { panic!("{python}") };
        assert!(error.starts_with("can't enter --chdir ") && error.contains("/missing: No such"));
    }
}
