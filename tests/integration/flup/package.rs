//! The package itself: its own tests, and the wheel that it comes in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::flupd::FLUPD;
use crate::harness::python::{self, Interpreter};
use crate::harness::{flup, source, temp_dir};

/// `tests/flup/` with each Python of the machine. They mostly wait, so those of one
/// Python run side by side.
#[test]
fn its_own_tests_under_each_python() {
    let modules = modules();
    let interpreters = python::interpreters();
    let last = interpreters.len() - 1;
    for (at, Interpreter { version, path }) in interpreters.into_iter().enumerate() {
        // All of it with the oldest and the newest; with those between, what a
        // change of Python breaks first.
        let whole = at == 0 || at == last;
        let modules: Vec<_> = modules
            .iter()
            .filter(|&name| whole || name == "test_cgi" || name == "test_client")
            .collect();
        run(&version, &modules, || {
            let mut command = Command::new(&path);
            command.env("PYTHONPATH", flup::target());
            command
        });
    }
}

/// The same under `flupd script.fcgi`, where nothing is installed: each hook and each
/// argument counts there, too.
#[test]
fn its_own_tests_under_flupd() {
    let interpreters = python::interpreters();
    let Interpreter { version, path } = interpreters.last().unwrap();
    let modules = modules();
    // The others do not start servers with `run()`.
    let serving = [
        "test_descriptors",
        "test_fastcgi",
        "test_fork",
        "test_hooks",
        "test_scgi",
        "test_threads",
    ];
    let modules: Vec<_> = modules.iter().filter(|name| serving.contains(&name.as_str())).collect();
    assert_eq!(modules.len(), serving.len());
    run(version, &modules, || {
        let mut command = Command::new(path);
        // For what has an address of its own.
        command.env("PYTHONPATH", flup::target()).env("FLUPD", FLUPD);
        command
    });
}

/// It comes and goes as any package, with the oldest Python and the newest.
#[test]
fn the_wheel_is_installed_and_uninstalled() {
    let wheel = flup::wheel();
    let interpreters = python::interpreters();
    let ends = [interpreters.first().unwrap(), interpreters.last().unwrap()];
    for Interpreter { version, path } in ends {
        let place = temp_dir();
        let environment = place.path();
        python::virtualenv(path, environment);
        let before = files(environment);
        let at = environment.to_str().unwrap();
        let wheel = wheel.to_str().unwrap();
        flup::pip(&["--python", at, "install", "--no-compile", "--no-index", wheel]);
        let import = "from flup.server.fcgi import WSGIServer; import flup.server._native as n; \
                      print(n.library().Scoreboard.MOST > 0)";
        let output = Command::new(environment.join("bin/python"))
            .args(["-B", "-c", import])
            .current_dir(environment)
            .env_remove("PYTHONPATH")
            .env_remove("FLUPD_WORKER_LIB")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"True\n", "Python {version}: {told}");
        let metadata = files(environment).into_iter().find(|file| file.ends_with("METADATA"));
        let metadata = fs::read_to_string(metadata.unwrap()).unwrap();
        assert!(metadata.contains("License-Expression: MIT OR Apache-2.0\n"), "{metadata}");
        assert!(metadata.contains("# flup on flupd\n"), "{metadata}");
        flup::pip(&["--python", at, "uninstall", "--yes", "flup"]);
        assert_eq!(files(environment), before, "Python {version}");
    }
}

/// All files below a directory, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// docs/flup.md names the tests that hold what it promises.
#[test]
fn the_documentation_names_tests_that_there_are() {
    let text = fs::read_to_string(source("docs/flup.md")).unwrap();
    let tests: String = modules()
        .iter()
        .map(|name| fs::read_to_string(source(format!("tests/flup/{name}.py"))).unwrap())
        .collect();
    let named: Vec<_> = text.split('`').filter(|word| word.starts_with("test_")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(tests.contains(&format!("def {name}(self)")), "{name}");
    }
}

/// The modules of `tests/flup`.
fn modules() -> Vec<String> {
    let modules: Vec<String> = fs::read_dir(source("tests/flup"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".py").map(str::to_owned))
        .filter(|name| name.starts_with("test_"))
        .collect();
    assert!(modules.len() > 5, "{modules:?}");
    modules
}

/// Runs these modules side by side, with Pythons of this version.
fn run(version: &str, modules: &[&String], python: impl Fn() -> Command) {
    let start = |module: &&String| {
        python()
            .args(["-W", "error::DeprecationWarning", "-m", "unittest", module.as_str()])
            .current_dir(source("tests/flup"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("FLUPD_WORKER_LIB")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = modules.iter().map(start).collect();
    for (module, child) in modules.iter().zip(running) {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let passed = output.status.success() && told.contains("\nOK");
        assert!(passed, "{module} with Python {version}:\n{told}");
    }
}

/// In a fresh virtualenv: the program, the package, the entry points.
#[test]
fn the_wheel_has_all_that_is_needed() {
    let environment = flup::virtualenv();
    let bin = environment.join("bin");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(bin.join(program))
            .args(arguments)
            .current_dir(environment)
            .env_remove("PYTHONPATH")
            .env_remove("FLUPD_WORKER_LIB")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run("flupd", &["--version"]).starts_with("flupd "));
    assert!(run("flupd", &["serve", "--help"]).contains("Usage: flupd serve"));
    let script = "import flup.server.fcgi as f, flup.server._native as n; n.library(); \
                  print(f.__version__)";
    assert_eq!(run("python", &["-c", script]).trim(), "1.0.3+flupd.0.1.0");
    let script = "from importlib.metadata import distribution as d\n\
                  for e in d('flup').entry_points: print(e.group, e.name, e.load().__name__)";
    let entries = run("python", &["-c", script]);
    for (name, runner) in [
        ("fcgi", "run_fcgi_thread"),
        ("fcgi_thread", "run_fcgi_thread"),
        ("fcgi_fork", "run_fcgi_fork"),
        ("scgi", "run_scgi_thread"),
        ("scgi_thread", "run_scgi_thread"),
        ("scgi_fork", "run_scgi_fork"),
    ] {
        let line = format!("paste.server_runner {name} {runner}\n");
        assert!(entries.contains(&line), "{line} in {entries}");
    }
    // What an app requires of flup is fulfilled, and pip takes nothing older for it.
    let script = "from importlib.metadata import version; print(version('flup'))";
    assert_eq!(run("python", &["-c", script]).trim(), "1.0.3+flupd.0.1.0");
}
