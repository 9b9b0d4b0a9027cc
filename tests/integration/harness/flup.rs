//! The wheel of flup on flupd, installed as its users install it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{python, source};

/// The virtualenv with the programs that use flup, which `make test` makes; its pip
/// made the wheel.
pub fn callers() -> PathBuf {
    let path = source("target/flup-venv");
    assert!(path.join(".stamp").exists(), "{} is missing: run `make test`", path.display());
    path
}

/// The wheel of this build.
pub fn wheel() -> PathBuf {
    let directory = callers().join("wheel");
    let found = fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
    found
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).unwrap())
        .unwrap_or_else(|| panic!("no wheel in {}: run `make test`", directory.display()))
}

/// `pip install` of the wheel, without any index, with these options.
fn install(options: &[&str]) {
    let wheel = wheel();
    let mut words = options.to_vec();
    words.extend(["--no-deps", "--no-index", "--force-reinstall", wheel.to_str().unwrap()]);
    pip(&words);
}

/// Runs pip with these arguments.
pub fn pip(arguments: &[&str]) {
    let output = Command::new(callers().join("bin/python"))
        .args(["-m", "pip", "--quiet", "--disable-pip-version-check"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A directory of this name, made anew at each run of the tests: to install the
/// wheel takes too long for each test.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

/// A directory for `PYTHONPATH` in which the wheel is installed.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let place = place("flup-target");
        install(&["install", "--target", place.to_str().unwrap()]);
        place
    })
}

/// A fresh virtualenv in which the wheel is installed, and which sees the programs
/// that use flup.
pub fn virtualenv() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let place = place("flup-venv");
        python::virtualenv(&callers().join("bin/python"), &place);
        let theirs = packages(&callers()).display().to_string();
        let see = format!("import site; site.addsitedir({theirs:?})\n");
        fs::write(packages(&place).join("callers.pth"), see).unwrap();
        install(&["--python", place.to_str().unwrap(), "install"]);
        place
    })
}

/// Where a virtualenv has its packages.
fn packages(environment: &Path) -> PathBuf {
    let lib = fs::read_dir(environment.join("lib")).unwrap().flatten();
    let mut packages = lib.map(|entry| entry.path().join("site-packages"));
    packages.find(|path| path.exists()).unwrap()
}
