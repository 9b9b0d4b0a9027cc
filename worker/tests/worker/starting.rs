//! What a worker makes of its process.

use std::process::{Command, Stdio};

use flupd_channel::Outcome;
use flupd_channel::startup::WorkerStatus;
use serde_json::json;

use crate::support::{Python, Start, apps, library, pythons};

#[test]
fn a_worker_starts_answers_and_leaves() {
    for python in pythons() {
        for threads in [1, 4] {
            let (mut worker, status) = Start::app("hello:application").threads(threads).on(python);
            let app = "hello:application".to_owned();
            assert_eq!(status, WorkerStatus::Ready { python: python.version.clone(), app });
            for path in ["/a", "/b"] {
                let answer = worker.get(path);
                assert_eq!(answer.outcome, Some(Outcome::Complete), "{python}: {answer:?}");
                let head =
                    "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n";
                assert_eq!(answer.head, head);
                assert_eq!(answer.text(), format!("Hello, {path}\n"));
                assert!(answer.log.is_empty() && answer.errors.is_empty());
            }
            let (status, stdout, stderr) = worker.leave();
            assert_eq!((status.code(), &*stdout, &*stderr), (Some(0), "", ""), "{python}");
        }
    }
}

#[test]
fn the_process_is_as_the_app_expects_it() {
    for python in pythons() {
        let start =
            Start { path: vec!["/first".into(), "/second".into()], ..Start::app("environs") };
        let mut worker = start.ready(python);
        let answer = worker.get("/process");
        let seen: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(seen["argv"], json!(["flupd"]), "{python}");
        let here = apps().display().to_string();
        let path = seen["path"].as_array().unwrap();
        assert_eq!(path[..3], [json!("/first"), json!("/second"), json!(here)], "{python}");
        assert!(!path.contains(&json!("")), "{python}: {path:?}");
        assert_eq!(seen["cwd"], json!(here), "{python}");
        assert_eq!(seen["main"], json!([]), "{python}");
        assert_eq!(seen["ours"], json!(["flupd"]), "{python}");
        assert_eq!(seen["main_thread"], json!(true), "{python}");
        // What the app's children inherit is what any child of this test does.
        assert_eq!(seen["fds"], json!(inherited_by(python)), "{python}");
        assert_eq!(seen["title"], json!("flupd: worker 3 (environs)"), "{python}");
        assert_eq!(seen["comm"], json!("flupd: worker 3"), "{python}");
        let ps = Command::new("ps").args(["-o", "args=", "-p", &worker.pid().to_string()]).output();
        if let Ok(ps) = ps {
            let shown = String::from_utf8(ps.stdout).unwrap();
            assert_eq!(shown.trim_end(), "flupd: worker 3 (environs)", "{python}");
        }
    }
}

#[test]
fn a_virtualenv_brings_its_packages() {
    for python in pythons() {
        let dir = tempfile::tempdir().unwrap();
        let venv = dir.path().join("venv");
        let made = Command::new(&python.executable)
            .args(["-m", "venv", "--without-pip"])
            .arg(&venv)
            .status()
            .unwrap();
        assert!(made.success(), "{python}");
        let minor: Vec<&str> = python.version.split('.').take(2).collect();
        let packages = venv.join(format!("lib/python{}/site-packages", minor.join(".")));
        std::fs::copy(apps().join("hello.py"), packages.join("only_in_venv.py")).unwrap();
        let inside = Python { executable: venv.join("bin/python"), ..python.clone() };
        let start = Start { chdir: None, ..Start::app("only_in_venv") };
        assert_eq!(start.ready(&inside).get("/").text(), "Hello, /\n", "{python}");
        let WorkerStatus::Failed { error } = start.on(python).1 else { panic!("{python}") };
        assert!(error.contains("only_in_venv was not found"), "{python}: {error}");
    }
}

fn inherited_by(python: &Python) -> Vec<u32> {
    let ask = "import environs, json; print(json.dumps(environs.inheritable()))";
    let output = Command::new(&python.executable)
        .args(["-c", ask])
        .current_dir(apps())
        .stdin(Stdio::null())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_library_is_not_linked_to_any_python() {
    let bytes = std::fs::read(library()).unwrap();
    assert!(memchr::memmem::find(&bytes, b"libpython").is_none());
    assert!(memchr::memmem::find(&bytes, b"PyInit_flupd_worker").is_some());
}

#[test]
fn started_by_hand_it_says_what_to_do() {
    for python in pythons() {
        let bootstrap = include_str!("../../src/bootstrap.py");
        let output = Command::new(&python.executable)
            .args(["-c", bootstrap])
            .arg(library())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{python}");
        assert!(stderr.contains("are started by `flupd serve`"), "{python}: {stderr}");
    }
}
