//! A script that is the program: it is run as `python SCRIPT` would run it, and
//! says itself which app is served.
//!
//! While it runs there is a module `_flupd`, which is what our `flup` package
//! calls. It is private: other code has `flup`, or names its app `application`.
//!
//! - `_flupd.serve(app)` serves the app and returns when that ends: the number of
//!   the signal that asked for it (SIGHUP, SIGINT, SIGTERM, SIGUSR1). A worker
//!   that a supervisor lets go returns SIGTERM. It can be called once, from any
//!   thread.
//! - `_flupd.serve.forgo()` says that the script serves by itself, elsewhere.
//! - `_flupd.serve.lend()` is what a server of the script's own may have to serve
//!   with here, or `None` if it may not. `_flupd.serve.once` tells CGI,
//!   `_flupd.serve.forks` a process that serves in forked children only.
//!
//! A script that ends without a call has its `application` or `app` served.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PySystemExit, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};

use crate::exchange::to_stderr;
use crate::import::broken;
use crate::load::{self, App};
use crate::program::{self, Serve};
use crate::startup::{self, Import};
use crate::{failure, flup, leaving};

/// The module that a script can ask to serve its app.
const HOST: &str = "_flupd";

/// Runs the script, and serves what it has if it does not do that itself.
/// Returns the process's exit code.
pub(crate) fn run(
    py: Python<'_>,
    import: &Import<'_>,
    arguments: &[String],
    around: program::Host,
    serve: Serve,
) -> PyResult<i32> {
    let path = PathBuf::from(import.app);
    let shown = arguments.first().map_or(import.app, String::as_str);
    let host = Host { serve: Mutex::new(Some(serve)), script: shown.to_owned(), around };
    let host = Bound::new(py, host)?;
    let ran = startup::enter(import, || Ok(folder(&path)))
        .and_then(|search| startup::prepare(py, &search).map_err(|e| failure::traceback(py, &e)))
        .map_err(Unrun::Unfit)
        .and_then(|()| execute(py, &path, arguments, &host).map_err(Unrun::Raised));
    let Some(serve) = host.get().take() else { return Ok(exit_code(py, ran)) };
    let app = match ran {
        Ok(main) => load::usual_in(&main, shown),
        Err(Unrun::Unfit(why)) => Err(why),
        Err(Unrun::Raised(error)) => Err(broken(py, &error, &format!("running {shown}"))),
    };
    Ok(serve(py, app)?.code)
}

/// Why a script has not run to its end.
enum Unrun {
    /// It was not begun.
    Unfit(String),
    /// It raised.
    Raised(PyErr),
}

/// The script's folder, links resolved: what Python puts into `sys.path`.
fn folder(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real.parent().map(Path::to_owned).unwrap_or_default()
}

/// Makes `__main__` of the script. Returns its module.
fn execute<'py>(
    py: Python<'py>,
    path: &Path,
    arguments: &[String],
    host: &Bound<'py, Host>,
) -> PyResult<Bound<'py, PyModule>> {
    let sys = py.import("sys")?;
    sys.setattr("argv", PyList::new(py, arguments)?)?;
    let module = PyModule::new(py, HOST)?;
    module.setattr("serve", host)?;
    let modules = sys.getattr("modules")?.cast_into::<PyDict>()?;
    modules.set_item(HOST, module)?;
    flup::answer_imports(py)?;

    let main = py.import("__main__")?;
    let path = path.as_os_str();
    let loader = py.import("importlib.machinery")?.getattr("SourceFileLoader")?;
    let loader = loader.call1(("__main__", path))?;
    main.setattr("__file__", path)?;
    main.setattr("__loader__", &loader)?;
    main.setattr("__spec__", py.None())?;
    let source = loader.call_method1("get_data", (path,))?;
    // Called from here, neither leaves a frame in a traceback.
    let builtins = py.import("builtins")?;
    let code = builtins.call_method1("compile", (source, path, "exec", 0, true))?;
    builtins.call_method1("exec", (code, main.dict()))?;
    Ok(main)
}

/// What a script that has served is to exit with, as `python SCRIPT` would.
fn exit_code(py: Python<'_>, ran: Result<Bound<'_, PyModule>, Unrun>) -> i32 {
    match ran {
        Ok(_) => leaving::code(),
        Err(Unrun::Raised(error)) if error.is_instance_of::<PySystemExit>(py) => {
            leaving::exit_code(py, &error)
        }
        Err(Unrun::Raised(error)) => {
            to_stderr(format!("{}\n", failure::traceback(py, &error)).as_bytes());
            1
        }
        Err(Unrun::Unfit(_)) => 1,
    }
}

/// `_flupd.serve`.
#[pyclass(frozen, module = "_flupd", name = "serve")]
struct Host {
    /// Until it is called.
    serve: Mutex<Option<Serve>>,
    script: String,
    around: program::Host,
}

impl Host {
    fn take(&self) -> Option<Serve> {
        self.serve.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Host {
    fn __call__(&self, py: Python<'_>, app: Py<PyAny>) -> PyResult<i32> {
        if !app.bind(py).is_callable() {
            return Err(PyTypeError::new_err("the app is not callable"));
        }
        let serve = self.take().ok_or_else(|| {
            PyRuntimeError::new_err("this process has served an app already; it can do so once")
        })?;
        Ok(serve(py, Ok(App { callable: app, name: self.script.clone() }))?.signal)
    }

    /// The script serves by itself: nothing is left to do when it ends.
    fn forgo(&self) {
        self.take();
    }

    /// What the script's own server may have. Then nothing is left to do when the
    /// script ends.
    fn lend(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let lent = self.around.lent.as_ref().map(|lent| lent.clone_ref(py));
        if lent.is_some() {
            self.forgo();
        }
        lent
    }

    /// Whether there is one request.
    #[getter]
    const fn once(&self) -> bool {
        self.around.once
    }

    /// Whether this process forks those that serve.
    #[getter]
    const fn forks(&self) -> bool {
        self.around.forks
    }
}
