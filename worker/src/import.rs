//! Imports a module by name, or runs a file as one.

use std::path::Path;

use pyo3::exceptions::{PyModuleNotFoundError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};

use crate::failure::{lossy, traceback};
use crate::spec::is_identifier;

/// Why a module can't be had, as a sentence.
pub(crate) enum Unimported {
    /// There is none of this name.
    Missing(String),
    /// It raised: the traceback follows.
    Broken(String),
}

impl From<Unimported> for String {
    fn from(why: Unimported) -> Self {
        match why {
            Unimported::Missing(text) | Unimported::Broken(text) => text,
        }
    }
}

/// Imports a module.
pub(crate) fn by_name<'py>(
    py: Python<'py>,
    name: &str,
) -> Result<Bound<'py, PyModule>, Unimported> {
    py.import(name).map_err(|error| {
        if !is_missing(py, &error, name) {
            return Unimported::Broken(broken(py, &error, &format!("importing {name}")));
        }
        let message = error.value(py).str().map(|text| lossy(&text)).unwrap_or_default();
        let mut text = format!("the module {name} was not found: {message}");
        if name.ends_with(".wsgi") {
            text += &format!(", nor a file {name} in {}", here());
        }
        let path = py.import("sys").and_then(|sys| sys.getattr("path"));
        if let Ok(path) = path.and_then(|path| path.repr()) {
            text += &format!("; sys.path is {}", lossy(&path));
        }
        Unimported::Missing(text)
    })
}

/// Runs a file as a module of its own name, such as `import` would have made.
/// Its extension may be any, or none.
pub(crate) fn by_path<'py>(py: Python<'py>, path: &Path) -> Result<Bound<'py, PyModule>, String> {
    let shown = path.display();
    let path = path.canonicalize().map_err(|error| {
        format!("the file {shown} can't be read: {error} (the directory is {})", here())
    })?;
    if !path.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let failed = |error: PyErr| broken(py, &error, &format!("running {shown}"));
    let modules = loaded_modules(py).map_err(failed)?;
    let name = module_name(&modules, &path).map_err(failed)?;
    let run = || {
        let module = prepare(py, &path, &name)?;
        // In sys.modules first, as import does it, so that what it defines can
        // be pickled.
        modules.set_item(&name, &module)?;
        let loader = module.getattr("__spec__")?.getattr("loader")?;
        loader.call_method1("exec_module", (&module,))?;
        Ok(module)
    };
    run().map_err(|error| {
        // It may not have got as far as being there.
        let _ = modules.del_item(&name);
        failed(error)
    })
}

/// Says that something of the app's own raised, with the traceback.
pub(crate) fn broken(py: Python<'_>, error: &PyErr, doing: &str) -> String {
    let exited = error.is_instance_of::<PySystemExit>(py);
    let what = if exited { "was ended by SystemExit" } else { "failed" };
    format!("{doing} {what}\n{}", traceback(py, error))
}

/// Whether the module itself, or a package that it lies in, does not exist: not
/// one that it imports.
fn is_missing(py: Python<'_>, error: &PyErr, name: &str) -> bool {
    if !error.is_instance_of::<PyModuleNotFoundError>(py) {
        return false;
    }
    let missing = error.value(py).getattr("name").map(|name| lossy(&name)).unwrap_or_default();
    name == missing || name.strip_prefix(&missing).is_some_and(|rest| rest.starts_with('.'))
}

fn here() -> String {
    std::env::current_dir().unwrap_or_default().display().to_string()
}

fn loaded_modules(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("sys")?.getattr("modules")?.cast_into()?)
}

/// The module name for a file: its stem, unless that means another module.
fn module_name(modules: &Bound<'_, PyDict>, path: &Path) -> PyResult<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.replace(['-', '.', ' '], "_");
    let taken = !is_identifier(&name) || modules.contains(&name)?;
    Ok(if taken { format!("flupd_app_{name}") } else { name })
}

fn prepare<'py>(py: Python<'py>, path: &Path, name: &str) -> PyResult<Bound<'py, PyModule>> {
    if let Some(folder) = path.parent().map(Path::as_os_str) {
        let search = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
        if !search.contains(folder)? {
            search.insert(0, folder)?;
        }
    }
    let path = path.as_os_str();
    let loader =
        py.import("importlib.machinery")?.getattr("SourceFileLoader")?.call1((name, path))?;
    let options = PyDict::new(py);
    options.set_item("loader", loader)?;
    let util = py.import("importlib.util")?;
    let spec = util.call_method("spec_from_file_location", (name, path), Some(&options))?;
    Ok(util.call_method1("module_from_spec", (spec,))?.cast_into()?)
}
