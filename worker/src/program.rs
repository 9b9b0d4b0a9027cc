//! What a process runs: an app that is imported, or a script that serves one.

use flupd_channel::startup::{WorkerConfig, WorkerStatus};
use pyo3::prelude::*;

pub use crate::load::App;
use crate::script;
use crate::startup::{self, Import};

/// Serves an app until the end, or tells whoever has to know why there is none.
pub(crate) type Serve = Box<dyn FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send>;

/// How serving has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// What the process is to exit with.
    pub code: i32,
    /// The signal that asked for it. SIGTERM stands for the supervisor's word.
    pub signal: i32,
}

impl Ended {
    /// At the supervisor's word, or because the app left with this exit code.
    #[must_use]
    pub const fn told(code: i32) -> Self {
        Self { code, signal: libc::SIGTERM }
    }
}

/// Gets the app and has it served. Returns the process's exit code.
///
/// # Errors
/// What `serve` raises.
pub fn run(
    py: Python<'_>,
    config: &WorkerConfig,
    serve: impl FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send + 'static,
) -> PyResult<i32> {
    import(py, &config.into(), serve)
}

/// What is to be said of an app that is ready.
#[must_use]
pub fn ready(app: &App) -> WorkerStatus {
    WorkerStatus::Ready { python: startup::python_version(), app: app.name.clone() }
}

/// As [`run`], for whatever there is to import.
pub(crate) fn import(
    py: Python<'_>,
    import: &Import<'_>,
    serve: impl FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send + 'static,
) -> PyResult<i32> {
    match import.script {
        Some(arguments) => script::run(py, import, arguments, Box::new(serve)),
        None => Ok(serve(py, startup::start(py, import))?.code),
    }
}
