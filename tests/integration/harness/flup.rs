//! The wheel of flup on flupd, installed as its users install it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::{python, source, temp_dir};

/// The virtualenv with the programs that use flup, which `make test` makes; its pip
/// made the wheel.
fn callers() -> PathBuf {
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
    let output = Command::new(callers().join("bin/python"))
        .args(["-m", "pip", "--quiet", "--disable-pip-version-check"])
        .args(options)
        .args(["--no-deps", "--no-index", "--force-reinstall"])
        .arg(wheel())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A directory for `PYTHONPATH` in which the wheel is installed.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<TempDir> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let dir = temp_dir();
        install(&["install", "--target", dir.path().to_str().unwrap()]);
        dir
    });
    target.path()
}

/// A fresh virtualenv in which the wheel is installed, and which sees the programs
/// that use flup. It goes with the test.
pub fn virtualenv() -> TempDir {
    let dir = temp_dir();
    let environment = dir.path().to_str().unwrap();
    let python = callers().join("bin/python");
    python::virtualenv(&python, dir.path());
    let packages = |root: &Path| {
        let lib = fs::read_dir(root.join("lib")).unwrap().flatten().map(|entry| entry.path());
        lib.map(|path| path.join("site-packages")).find(|path| path.exists()).unwrap()
    };
    let theirs = packages(&callers());
    let see = format!("import site; site.addsitedir({:?})\n", theirs.display().to_string());
    fs::write(packages(dir.path()).join("callers.pth"), see).unwrap();
    install(&["--python", environment, "install"]);
    dir
}
