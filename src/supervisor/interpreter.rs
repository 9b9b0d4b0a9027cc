//! Which Python runs the app: found, asked who it is, and refused with a reason
//! if it can't do.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::confine::confine;
use crate::config::Privileges;

/// How long an interpreter may take to say who it is, on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first version that works: the worker library is built for its stable ABI.
const OLDEST: (u32, u32) = (3, 9);

/// What the interpreter runs: it loads a library of ours and enters it.
pub(crate) const BOOTSTRAP: &str = include_str!("../../worker/src/bootstrap.py");

/// Where commands are looked for where there is no PATH, as in a CGI program.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Asks the interpreter who it is. Valid in Python 2 as well, so that an old one
/// gets the right error. It imports nothing: `json`, `platform` and `sysconfig`
/// would take longer than the start of Python itself. A path may be any bytes, so
/// it is told in hexadecimal.
const QUESTION: &str = r#"
import sys
kind = getattr(getattr(sys, "implementation", None), "name", "cpython")
path = sys.executable or ""
if bytes is not str:
    path = path.encode(sys.getfilesystemencoding(), "surrogateescape")
print('{"executable": "%s", "version": [%d, %d, %d], "implementation": "%s", "free_threaded": %s}' % (
    ("".join("%02x" % byte for byte in bytearray(path)),)
    + tuple(sys.version_info[:3])
    + ({"cpython": "CPython", "pypy": "PyPy"}.get(kind, kind),)
    + ("true" if "t" in getattr(sys, "abiflags", "") else "false",)
))
"#;

/// An interpreter that can run workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// What to execute: its own name for itself. In a virtualenv that is the
    /// link in there, which must not be resolved.
    pub(super) executable: PathBuf,
    /// Such as `3.11.7`.
    pub(super) version: String,
}

/// Why an interpreter can't be used, and what to do.
#[derive(Debug, Error)]
pub enum InterpreterError {
    /// There is nothing of that name.
    #[error("there is no Python at {}; give --python an interpreter or a virtualenv's directory", .0.display())]
    Missing(PathBuf),
    /// Neither `--python` nor `$VIRTUAL_ENV` nor PATH.
    #[error("no python3 is on PATH; install one, or name it with --python")]
    NotOnPath,
    /// A directory without `bin/python`.
    #[error("{} is a directory without bin/python, so no virtualenv; make one with python3 -m venv {}", .0.display(), .0.display())]
    NotAVirtualenv(PathBuf),
    /// It can't be executed.
    #[error("{} can't be executed: {error}; give --python an interpreter that runs on this machine", path.display())]
    NotExecutable {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It ran, and was no Python.
    #[error("{} is no working Python: {what}; give --python an interpreter or a virtualenv's directory", path.display())]
    NotPython {
        /// What was tried.
        path: PathBuf,
        /// What it did.
        what: String,
    },
    /// It said nothing in time.
    #[error("{} did not say its version within {} seconds; try it by hand: {} -V", .0.display(), PATIENCE.as_secs(), .0.display())]
    Silent(PathBuf),
    /// It is too old.
    #[error("{} is Python {version}; flupd needs {}.{} or later", path.display(), OLDEST.0, OLDEST.1)]
    TooOld {
        /// What was tried.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It is PyPy or another one.
    #[error("{} is {implementation}; flupd runs apps on CPython, so give --python one", path.display())]
    NotCPython {
        /// What was tried.
        path: PathBuf,
        /// Its kind.
        implementation: String,
    },
    /// It is a build without the GIL.
    #[error("{} is a free-threaded build of Python; flupd needs the ordinary one, so give --python that", .0.display())]
    FreeThreaded(PathBuf),
}

impl Interpreter {
    /// Finds the interpreter and asks it who it is.
    pub(super) async fn find(
        asked: Option<&Path>,
        privileges: &Privileges,
    ) -> Result<Self, InterpreterError> {
        ask(&choose(asked)?, privileges, PATIENCE).await
    }
}

/// The interpreter that is meant, which may not be fit: it is not asked.
pub(crate) fn choose(asked: Option<&Path>) -> Result<PathBuf, InterpreterError> {
    match asked {
        Some(path) => locate(path),
        None => match std::env::var_os("VIRTUAL_ENV").filter(|value| !value.is_empty()) {
            Some(directory) => locate(Path::new(&directory)),
            None => on_path("python3").ok_or(InterpreterError::NotOnPath),
        },
    }
}

/// Asks the interpreter who it is, for a process that is about to become it and
/// could not say then why it can't.
pub(crate) fn examine(path: &Path, privileges: &Privileges) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask(path, privileges, PATIENCE))?;
    Ok(())
}

/// What an interpreter says of itself.
#[derive(Debug, Deserialize)]
struct Answer {
    /// In hexadecimal; empty if it does not know.
    executable: String,
    version: (u32, u32, u32),
    implementation: String,
    free_threaded: bool,
}

/// The executable that is meant by a file, a virtualenv's directory or a bare
/// command name such as `python3.12`.
fn locate(path: &Path) -> Result<PathBuf, InterpreterError> {
    if path.is_dir() {
        let inside = path.join("bin/python");
        return match inside.exists() {
            true => Ok(inside),
            false if path.join("pyvenv.cfg").exists() => Err(InterpreterError::Missing(inside)),
            false => Err(InterpreterError::NotAVirtualenv(path.to_owned())),
        };
    }
    if path.exists() {
        return std::path::absolute(path).map_err(|_| InterpreterError::Missing(path.to_owned()));
    }
    let bare = path.components().count() == 1;
    let command = path.to_str().filter(|_| bare).and_then(on_path);
    command.ok_or_else(|| InterpreterError::Missing(path.to_owned()))
}

fn on_path(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    std::env::split_paths(&path).map(|directory| directory.join(command)).find(|file| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// Runs it as the app's user: who may write it decides what it does.
async fn ask(
    path: &Path,
    privileges: &Privileges,
    patience: Duration,
) -> Result<Interpreter, InterpreterError> {
    let mut command = std::process::Command::new(path);
    confine(&mut command, privileges, None);
    let mut command = tokio::process::Command::from(command);
    // -E -s -S: no settings of the user, no site module that could print.
    command.args(["-E", "-s", "-S", "-c", QUESTION]).stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(patience, command.output()).await else {
        return Err(InterpreterError::Silent(path.to_owned()));
    };
    let output =
        output.map_err(|error| InterpreterError::NotExecutable { path: path.to_owned(), error })?;
    let not_python = |what| InterpreterError::NotPython { path: path.to_owned(), what };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        return Err(not_python(format!("it ended with {}, saying {last:?}", output.status)));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| not_python("it does not answer as Python does".to_owned()))?;
    judge(path, answer)
}

fn judge(path: &Path, answer: Answer) -> Result<Interpreter, InterpreterError> {
    let (major, minor, patch) = answer.version;
    let version = format!("{major}.{minor}.{patch}");
    let path = path.to_owned();
    if answer.implementation != "CPython" {
        let implementation = answer.implementation;
        return Err(InterpreterError::NotCPython { path, implementation });
    }
    if (major, minor) < OLDEST {
        return Err(InterpreterError::TooOld { path, version });
    }
    if answer.free_threaded {
        return Err(InterpreterError::FreeThreaded(path));
    }
    // A shim, such as pyenv's, is a script that starts the real one.
    let executable =
        bytes(&answer.executable).map(|bytes| PathBuf::from(OsString::from_vec(bytes)));
    let executable = executable.filter(|path| path.is_absolute()).unwrap_or(path);
    Ok(Interpreter { executable, version })
}

/// The bytes that are written in hexadecimal.
fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A script in the place of an interpreter. A child writes it: a file that
    /// this process has open for writing can't be executed while another test
    /// forks.
    fn fake(room: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = room.path().join("python");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#;
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-c", write]).arg(&path).arg(text).status().unwrap().success());
        path
    }

    async fn error(path: &Path) -> String {
        Interpreter::find(Some(path), &Privileges::default()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn every_unfit_interpreter_is_told_apart() {
        let room = tempfile::tempdir().unwrap();
        let say = |version: &str, kind: &str, free: bool| {
            format!(
                r#"echo '{{"executable": "", "version": [{version}], "implementation": "{kind}", "free_threaded": {free}}}'"#
            )
        };
        let table = [
            (say("3, 8, 18", "CPython", false), "is Python 3.8.18; flupd needs 3.9 or later"),
            (say("2, 7, 18", "CPython", false), "is Python 2.7.18;"),
            (say("3, 10, 1", "PyPy", false), "is PyPy; flupd runs apps on CPython"),
            (say("3, 13, 0", "CPython", true), "is a free-threaded build"),
            ("echo hello".into(), "it does not answer as Python does"),
            ("echo no such option >&2; exit 2".into(), "saying \"no such option\""),
        ];
        for (script, expected) in table {
            let text = error(&fake(&room, &script)).await;
            assert!(text.contains(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_or_can_not_run_is_said() {
        let room = tempfile::tempdir().unwrap();
        let text = error(&room.path().join("none")).await;
        assert!(text.starts_with("there is no Python at"), "{text}");
        assert!(error(room.path()).await.contains("without bin/python"));
        let plain = room.path().join("plain");
        std::fs::write(&plain, "text").unwrap();
        assert!(error(&plain).await.contains("can't be executed: Permission denied"));
        assert!(error(Path::new("no-such-python")).await.starts_with("there is no Python"));
    }

    #[tokio::test]
    async fn one_that_hangs_is_given_up() {
        let room = tempfile::tempdir().unwrap();
        let path = fake(&room, "exec sleep 60");
        let result = ask(&path, &Privileges::default(), Duration::from_millis(50)).await;
        assert!(matches!(result, Err(InterpreterError::Silent(_))), "{result:?}");
    }

    #[tokio::test]
    async fn a_virtualenv_keeps_its_own_link() {
        let Some(python) = on_path("python3") else { return };
        let real = ask(&python, &Privileges::default(), PATIENCE).await.unwrap();
        let room = tempfile::tempdir().unwrap();
        let venv = room.path().join(OsString::from_vec(b"v\xe4nv \"".to_vec()));
        std::fs::create_dir_all(venv.join("bin")).unwrap();
        symlink(&real.executable, venv.join("bin/python")).unwrap();
        std::fs::write(venv.join("pyvenv.cfg"), "home = /usr/bin\n").unwrap();
        let inside = Interpreter::find(Some(&venv), &Privileges::default()).await.unwrap();
        assert_eq!(inside.executable, venv.join("bin/python"));
        assert_eq!(inside.version, real.version);
    }

    #[tokio::test]
    async fn a_shim_is_replaced_by_what_it_starts() {
        let Some(python) = on_path("python3") else { return };
        let real = ask(&python, &Privileges::default(), PATIENCE).await.unwrap();
        let room = tempfile::tempdir().unwrap();
        let shim = fake(&room, &format!("exec {} \"$@\"", real.executable.display()));
        assert_eq!(ask(&shim, &Privileges::default(), PATIENCE).await.unwrap(), real);
    }
}
