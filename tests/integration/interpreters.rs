//! Every Python of the machine, each by itself and as a virtualenv.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::python::{self, Interpreter};
use crate::harness::{app, temp_dir};

fn told_by(flupd: &Flupd) -> Value {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    serde_json::from_str(&answer.body()).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

fn version(told: &Value) -> String {
    let parts: Vec<String> =
        told["version"].as_array().unwrap().iter().map(Value::to_string).collect();
    parts.join(".")
}

/// Serves with `--python PYTHON`.
fn served_on(python: &Path) -> Value {
    let serve = Serve::app(&app("interpreter.py")).args(["--python"]).args([python]);
    told_by(&serve.on_fastcgi())
}

#[test]
fn every_interpreter_and_a_virtualenv_of_each() {
    let interpreters = python::interpreters();
    assert!(!interpreters.is_empty(), "no Python from 3.9 to 3.13 on this machine");
    for Interpreter { version: expected, path } in &interpreters {
        let told = served_on(path);
        assert_eq!(version(&told), *expected, "{}", path.display());

        let dir = temp_dir();
        let venv = dir.path().join("venv");
        python::virtualenv(path, &venv);
        // The directory and the interpreter in it mean the same.
        for given in [venv.clone(), venv.join("bin/python")] {
            let told_in_venv = served_on(&given);
            assert_eq!(version(&told_in_venv), *expected, "{}", given.display());
            assert_eq!(told_in_venv["prefix"], venv.to_str().unwrap());
            assert_eq!(told_in_venv["base_prefix"], told["base_prefix"]);
            let paths = told_in_venv["path"].as_array().unwrap();
            let site = venv.join("lib");
            assert!(
                paths.iter().any(|p| {
                    let p = p.as_str().unwrap();
                    p.starts_with(site.to_str().unwrap()) && p.ends_with("site-packages")
                }),
                "no site-packages of the virtualenv: {paths:?}"
            );
        }
        // Past the test harness, which would keep it to itself.
        let told =
            format!("\nran on Python {expected}: {} and a virtualenv of it\n", path.display());
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
}

#[test]
fn packages_of_a_virtualenv_are_found() {
    let interpreter = &python::interpreters()[0];
    let dir = temp_dir();
    let venv = dir.path().join("venv");
    python::virtualenv(&interpreter.path, &venv);
    let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    fs::copy(app("interpreter.py"), lib.join("site-packages/only_in_the_venv.py")).unwrap();

    let serve = Serve::app("only_in_the_venv").args(["--python"]).args([&venv]);
    assert_eq!(version(&told_by(&serve.on_fastcgi())), interpreter.version);
}

#[test]
fn virtual_env_is_the_default() {
    let interpreter = &python::interpreters()[0];
    let dir = temp_dir();
    let venv = dir.path().join("venv");
    python::virtualenv(&interpreter.path, &venv);
    let serve = Serve::app(&app("interpreter.py")).env("VIRTUAL_ENV", &venv);
    assert_eq!(told_by(&serve.on_fastcgi())["prefix"], venv.to_str().unwrap());
}

#[test]
fn without_virtual_env_python3_on_path_is_the_default() {
    let interpreter = &python::interpreters()[0];
    let dir = temp_dir();
    std::os::unix::fs::symlink(&interpreter.path, dir.path().join("python3")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let serve =
        Serve::app(&app("interpreter.py")).env("PATH", format!("{}:{path}", dir.path().display()));
    assert_eq!(version(&told_by(&serve.on_fastcgi())), interpreter.version);
}

/// The path is named, and something is said that helps.
fn expect_refused(python: &Path, texts: &[&str]) {
    let serve = Serve::app(&app("interpreter.py")).args(["--python"]).args([python]);
    let (code, output) = serve.refused();
    assert!(matches!(code, Some(1 | 2)), "{code:?}: {output}");
    for text in texts.iter().copied().chain([python.to_str().unwrap()]) {
        assert!(output.contains(text), "{text:?} is not said:\n{output}");
    }
}

#[test]
fn missing_interpreter() {
    expect_refused(Path::new("/no/such/python3"), &["--python"]);
}

#[test]
fn directory_that_is_no_virtualenv() {
    let dir = temp_dir();
    expect_refused(dir.path(), &["bin/python"]);
}

#[test]
fn virtualenv_whose_python_has_gone() {
    let dir = temp_dir();
    fs::create_dir_all(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("/no/such/python3.11", dir.path().join("bin/python")).unwrap();
    expect_refused(dir.path(), &[]);
}

#[test]
fn program_that_is_no_python() {
    expect_refused(Path::new("/bin/true"), &[]);
    expect_refused(Path::new("/etc/hostname"), &[]);
}

/// A Python older than 3.9, which here is a script that says so.
#[test]
fn python_too_old() {
    let Some(old) = old_python() else {
        println!("no Python older than 3.9 on this machine");
        return;
    };
    expect_refused(&old, &["3.9"]);
}

fn old_python() -> Option<std::path::PathBuf> {
    let versions = Path::new(&std::env::var_os("HOME")?).join(".pyenv/versions");
    fs::read_dir(versions)
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let minor = name.to_str().and_then(|n| n.strip_prefix("3.")?.split('.').next());
            minor.and_then(|m| m.parse::<u32>().ok()).is_some_and(|m| m < 9)
        })
        .map(|entry| entry.path().join("bin/python"))
        .find(|path| path.exists())
}
