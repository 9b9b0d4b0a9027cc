//! From the supervisor's configuration to an app that is ready.

use std::io;
use std::path::{Path, PathBuf};

use flupd_channel::startup::{WorkerConfig, ZygoteConfig};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::load::{App, load};
use crate::{failure, limits};

/// What is to be imported, and from where.
pub(crate) struct Import<'c> {
    pub(crate) app: &'c str,
    /// If it is a script that is the program: its `sys.argv`.
    pub(crate) script: Option<&'c [String]>,
    chdir: Option<&'c Path>,
    path: &'c [PathBuf],
}

impl<'c> From<&'c WorkerConfig> for Import<'c> {
    fn from(config: &'c WorkerConfig) -> Self {
        let (app, script) = (&*config.app, config.script.as_deref());
        Self { app, script, chdir: config.chdir.as_deref(), path: &config.path }
    }
}

impl<'c> From<&'c ZygoteConfig> for Import<'c> {
    fn from(config: &'c ZygoteConfig) -> Self {
        let (app, script) = (&*config.app, config.script.as_deref());
        Self { app, script, chdir: config.chdir.as_deref(), path: &config.path }
    }
}

/// Enters the directory, sets up `sys.path` and signals, and loads the app.
///
/// # Errors
/// What to tell the user, with the traceback if there is one.
pub(crate) fn start(py: Python<'_>, import: &Import<'_>) -> Result<App, String> {
    let here = || std::env::current_dir();
    let search = enter(import, here)?;
    prepare(py, &search).map_err(|error| failure::traceback(py, &error))?;
    load(py, import.app)
}

/// Enters the directory. Returns what is to stand in front of `sys.path`: what
/// was asked for, and then the app's own `folder`, which is asked for inside.
///
/// # Errors
/// What to tell the user.
pub(crate) fn enter(
    import: &Import<'_>,
    folder: impl FnOnce() -> io::Result<PathBuf>,
) -> Result<Vec<PathBuf>, String> {
    // They are meant from where the user stood.
    let path = import.path.iter().map(|dir| std::path::absolute(dir).unwrap_or(dir.clone()));
    let mut search: Vec<PathBuf> = path.collect();
    if let Some(dir) = import.chdir {
        std::env::set_current_dir(dir)
            .map_err(|error| format!("can't enter --chdir {}: {error}", dir.display()))?;
    }
    search.push(folder().map_err(|error| format!("the current directory can't be read: {error}"))?);
    Ok(search)
}

/// Sets up `sys.path`, signals, and the last words of a crash.
pub(crate) fn prepare(py: Python<'_>, search: &[PathBuf]) -> PyResult<()> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    for dir in search.iter().rev() {
        path.insert(0, dir.as_os_str())?;
    }
    keep_calm_on_interrupt(py)?;
    by_lines(py);
    limits::module(py)?;
    // So that a crash in an extension module leaves its Python stack on stderr.
    let _ = py.import("faulthandler").and_then(|module| module.call_method0("enable"));
    Ok(())
}

/// What the app prints is seen at the end of each line, and not lost in a buffer
/// should the process be killed. That is how standard error is anyway.
fn by_lines(py: Python<'_>) {
    let stdout = py.import("sys").and_then(|sys| sys.getattr("stdout"));
    // Without a standard output there is nothing to do.
    let _ = stdout.and_then(|stdout| {
        let how = pyo3::types::PyDict::new(py);
        how.set_item("line_buffering", true)?;
        stdout.call_method("reconfigure", (), Some(&how))
    });
}

/// Ctrl-C on a terminal reaches every process of flupd; the supervisor decides
/// what it means. A Python handler, unlike `SIG_IGN`, ends at exec, so that what
/// the app starts can still be interrupted.
fn keep_calm_on_interrupt(py: Python<'_>) -> PyResult<()> {
    let signal = py.import("signal")?;
    let interrupt = signal.getattr("SIGINT")?;
    let ours = signal.getattr("default_int_handler")?;
    if signal.call_method1("getsignal", (&interrupt,))?.is(&ours) {
        let ignore = pyo3::wrap_pyfunction!(ignore, py)?;
        signal.call_method1("signal", (interrupt, ignore))?;
    }
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (*_arguments))]
fn ignore(_arguments: &Bound<'_, PyAny>) {}

/// The interpreter's version, such as `3.11.7`.
pub(crate) fn python_version() -> String {
    Python::version_str().split(' ').next().unwrap_or_default().to_owned()
}
