//! What a process runs: an app that is imported, or a script that serves one.

use flupd_channel::startup::{WorkerConfig, WorkerStatus};
use pyo3::prelude::*;

pub use crate::load::App;
use crate::script;
use crate::startup::{self, Import};

/// Serves an app until the end, or tells whoever has to know why there is none.
pub(crate) type Serve = Box<dyn FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send>;

/// What there is around a script.
#[derive(Debug, Default)]
pub struct Host {
    /// There is one request (CGI).
    pub once: bool,
    /// This process forks those that serve.
    pub forks: bool,
    /// What a server of the script's own may have in flupd's place.
    pub lent: Option<Py<PyAny>>,
}

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
    begin(py, &config.into(), Host::default(), serve)
}

/// As [`run`], with a host that is not a supervisor.
///
/// # Errors
/// What `serve` raises.
pub fn run_in(
    py: Python<'_>,
    config: &WorkerConfig,
    host: Host,
    serve: impl FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send + 'static,
) -> PyResult<i32> {
    begin(py, &config.into(), host, serve)
}

/// What is to be said of an app that is ready.
#[must_use]
pub fn ready(app: &App) -> WorkerStatus {
    WorkerStatus::Ready { python: startup::python_version(), app: app.name.clone() }
}

/// As [`run`], in a process that forks others, which serve.
pub(crate) fn import(
    py: Python<'_>,
    import: &Import<'_>,
    serve: impl FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send + 'static,
) -> PyResult<i32> {
    begin(py, import, Host { forks: true, ..Host::default() }, serve)
}

fn begin(
    py: Python<'_>,
    import: &Import<'_>,
    host: Host,
    serve: impl FnOnce(Python<'_>, Result<App, String>) -> PyResult<Ended> + Send + 'static,
) -> PyResult<i32> {
    match import.script {
        Some(arguments) => script::run(py, import, arguments, host, Box::new(serve)),
        None => Ok(serve(py, startup::start(py, import))?.code),
    }
}
