//! The Pythons of this machine.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::source;

/// The versions that flupd supports.
const MINORS: std::ops::RangeInclusive<u32> = 9..=13;

/// An interpreter that runs.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// As 3.11.2.
    pub version: String,
    /// `sys.executable`.
    pub path: PathBuf,
}

/// What `python3` is. On PATH that may be a script that looks for one, which takes ten
/// times as long as the start of Python.
pub fn own() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    OWN.get_or_init(|| {
        let mut ask = Command::new("python3");
        ask.args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"]);
        PathBuf::from(String::from_utf8(ask.output().unwrap().stdout).unwrap().trim_end())
    })
}

/// The tests' own PATH, but `python3` is that Python in a virtualenv: what somebody has
/// installed for each start of it, and which takes longer than all the rest, is not there.
pub fn search_path() -> &'static OsStr {
    static PATH: OnceLock<OsString> = OnceLock::new();
    PATH.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
        let (bin, theirs) = (place.join("bin"), look(own()).unwrap().version);
        // Others may use that of the last run.
        if look(&bin.join("python3")).is_none_or(|found| found.version != theirs) {
            let _ = fs::remove_dir_all(&place);
            virtualenv(own(), &place);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        env::join_paths(iter::once(bin).chain(env::split_paths(&path))).unwrap()
    })
}

/// Every supported interpreter: `python3.9` to `python3.13` and `python3` on PATH,
/// those of pyenv, and the system's.
pub fn interpreters() -> Vec<Interpreter> {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Vec<Interpreter> {
    let mut candidates = vec![PathBuf::from("/usr/bin/python3"), PathBuf::from("python3")];
    for directory in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        candidates.extend(MINORS.map(|minor| directory.join(format!("python3.{minor}"))));
    }
    if let Some(home) = env::var_os("HOME") {
        let versions = Path::new(&home).join(".pyenv/versions");
        candidates.extend(
            fs::read_dir(versions)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path().join("bin/python")),
        );
    }
    let mut found = BTreeMap::new();
    for interpreter in candidates.iter().filter_map(|path| look(path)) {
        // One of several names for the same file is enough.
        let file = fs::canonicalize(&interpreter.path).unwrap();
        found.entry(file).or_insert(interpreter);
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|interpreter| numbers(&interpreter.version));
    found
}

/// 3.9 comes before 3.13.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

fn look(path: &Path) -> Option<Interpreter> {
    let script = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";
    let output = Command::new(path)
        .args(["-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (version, path) = text.trim_end().split_once('\n')?;
    let minor: u32 = version.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
    MINORS
        .contains(&minor)
        .then(|| Interpreter { version: version.to_owned(), path: PathBuf::from(path) })
}

/// Makes a virtualenv without pip in `dir`, which takes a fraction of a second.
pub fn virtualenv(interpreter: &Path, dir: &Path) {
    let output = Command::new(interpreter)
        .args(["-m", "venv", "--without-pip"])
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The virtualenv with Django and Flask, which `make venv` makes.
pub fn frameworks() -> PathBuf {
    let path = source("target/venv");
    assert!(
        path.join(".stamp").exists(),
        "the virtualenv with Django and Flask is missing: run `make test`, or `make venv` first"
    );
    path
}
