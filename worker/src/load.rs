//! Imports the app and finds the callable in it.

use std::path::Path;

use pyo3::exceptions::{PyAttributeError, PyModuleNotFoundError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};

use crate::failure::{lossy, traceback};
use crate::spec::{AppSpec, Object, Place, is_identifier};

/// What an app is called when the user does not say.
const USUAL_NAMES: [&str; 2] = ["application", "app"];

/// How many names an error lists at most.
const MOST_LISTED: usize = 20;

/// An app that is ready to be called.
pub(crate) struct App {
    pub(crate) callable: Py<PyAny>,
    /// What its name came to, such as `site.wsgi:application`.
    pub(crate) name: String,
}

/// Loads the app of this name. The current directory and `sys.path` stand.
///
/// # Errors
/// What was tried and why it failed, with the traceback if there is one.
pub(crate) fn load(py: Python<'_>, name: &str) -> Result<App, String> {
    let spec = AppSpec::parse(name, Path::is_file).map_err(|error| error.0)?;
    let (module, shown) = match &spec.place {
        Place::Module(name) => (import(py, name)?, name.clone()),
        Place::File(path) => (run_file(py, path)?, path.display().to_string()),
    };
    match &spec.object {
        Some(object) => named(&module, &shown, object),
        None => usual(py, &module, &shown, matches!(spec.place, Place::Module(_))),
    }
}

fn import<'py>(py: Python<'py>, name: &str) -> Result<Bound<'py, PyModule>, String> {
    py.import(name).map_err(|error| {
        if is_missing(py, &error, name) {
            let path = py.import("sys").and_then(|sys| sys.getattr("path"));
            let path = path.and_then(|path| path.repr()).map(|path| lossy(&path));
            let path = path.unwrap_or_default();
            let mut text = format!("the module {name} was not found: {}", message(py, &error));
            if name.ends_with(".wsgi") {
                text += &format!(", nor a file {name} in {}", here());
            }
            format!("{text}; sys.path is {path}")
        } else {
            broken(py, &error, &format!("importing {name}"))
        }
    })
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

fn message(py: Python<'_>, error: &PyErr) -> String {
    error.value(py).str().map(|text| lossy(&text)).unwrap_or_default()
}

fn here() -> String {
    std::env::current_dir().unwrap_or_default().display().to_string()
}

fn broken(py: Python<'_>, error: &PyErr, doing: &str) -> String {
    let what =
        if error.is_instance_of::<PySystemExit>(py) { "was ended by SystemExit" } else { "failed" };
    format!("{doing} {what}\n{}", traceback(py, error))
}

/// Runs a file as a module of its own name, such as `import` would have made.
fn run_file<'py>(py: Python<'py>, path: &Path) -> Result<Bound<'py, PyModule>, String> {
    let shown = path.display();
    let path = path.canonicalize().map_err(|error| {
        format!("the file {shown} can't be read: {error} (the directory is {})", here())
    })?;
    if !path.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let failed = |error: PyErr| broken(py, &error, &format!("running {shown}"));
    let (name, modules) = module_name(py, &path).map_err(failed)?;
    let module = prepare(py, &path, &name).map_err(failed)?;
    let loaded = || {
        // In sys.modules first, as import does it, so that what it defines can
        // be pickled.
        modules.set_item(&name, &module)?;
        module.getattr("__spec__")?.getattr("loader")?.call_method1("exec_module", (&module,))
    };
    loaded().map_err(|error| {
        let _ = modules.del_item(&name);
        failed(error)
    })?;
    Ok(module)
}

/// The module name for a file: its stem, unless that means another module.
fn module_name<'py>(py: Python<'py>, path: &Path) -> PyResult<(String, Bound<'py, PyDict>)> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = stem.replace(['-', '.', ' '], "_");
    if !is_identifier(&name) || modules.contains(&name)? {
        name = format!("flupd_app_{name}");
    }
    Ok((name, modules))
}

fn prepare<'py>(py: Python<'py>, path: &Path, name: &str) -> PyResult<Bound<'py, PyModule>> {
    if let Some(folder) = path.parent().map(Path::as_os_str) {
        let search = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
        if !search.contains(folder)? {
            search.insert(0, folder)?;
        }
    }
    let machinery = py.import("importlib.machinery")?;
    let util = py.import("importlib.util")?;
    // Whatever the extension is, or none.
    let path = path.as_os_str();
    let loader = machinery.getattr("SourceFileLoader")?.call1((name, path))?;
    let options = PyDict::new(py);
    options.set_item("loader", loader)?;
    let spec = util.call_method("spec_from_file_location", (name, path), Some(&options))?;
    Ok(util.call_method1("module_from_spec", (spec,))?.cast_into::<PyModule>()?)
}

/// The app under the name that the user gave.
fn named(module: &Bound<'_, PyModule>, shown: &str, object: &Object) -> Result<App, String> {
    let py = module.py();
    let name = format!("{shown}:{object}");
    let mut found = module.clone().into_any();
    let mut walked = shown.to_owned();
    for part in &object.path {
        found = found.getattr(part.as_str()).map_err(|error| {
            if error.is_instance_of::<PyAttributeError>(py) {
                format!("{walked} has no attribute {part:?}; {}", callables(module))
            } else {
                broken(py, &error, &format!("looking up {name}"))
            }
        })?;
        walked = format!("{walked}.{part}");
    }
    if object.factory {
        if !found.is_callable() {
            return Err(format!("{name}: the factory is not callable, but {}", kind(&found)));
        }
        found = found.call0().map_err(|error| broken(py, &error, &format!("calling {name}")))?;
        if !found.is_callable() {
            let kind = kind(&found);
            return Err(format!("{name} returned what is not callable, but {kind}"));
        }
    } else if !found.is_callable() {
        return Err(format!("{name} is not callable, but {}", kind(&found)));
    }
    Ok(App { callable: found.unbind(), name })
}

/// The app under one of the usual names, in the module or in its `wsgi`.
fn usual(
    py: Python<'_>,
    module: &Bound<'_, PyModule>,
    shown: &str,
    by_name: bool,
) -> Result<App, String> {
    let mut modules = vec![(module.clone(), shown.to_owned())];
    let mut tried: Vec<String> = Vec::new();
    if by_name && module.hasattr("__path__").unwrap_or(false) {
        let inner = format!("{shown}.wsgi");
        match import(py, &inner) {
            Ok(wsgi) => modules.push((wsgi, inner)),
            Err(_) if py.import("importlib.util").is_err() => {}
            Err(error) if error.contains('\n') => return Err(error),
            Err(_) => tried.push(format!("the module {inner}")),
        }
    }
    let mut listed = String::new();
    for (module, shown) in &modules {
        for name in USUAL_NAMES {
            tried.push(format!("{shown}:{name}"));
            if let Ok(found) = module.getattr(name)
                && found.is_callable()
            {
                return Ok(App { callable: found.unbind(), name: format!("{shown}:{name}") });
            }
        }
        listed = callables(module);
    }
    Err(format!("no app found; tried {}; {listed}", tried.join(", ")))
}

/// What a user may have meant: the module's callables.
fn callables(module: &Bound<'_, PyModule>) -> String {
    let mut names: Vec<String> = module
        .dict()
        .iter()
        .filter(|(_, value)| value.is_callable())
        .map(|(name, _)| lossy(&name))
        .filter(|name| !name.starts_with('_'))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return "it defines nothing that can be called".into();
    }
    let more = if names.len() > MOST_LISTED { ", ..." } else { "" };
    names.truncate(MOST_LISTED);
    format!("it defines these callables: {}{more}", names.join(", "))
}

fn kind(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().name().map(|name| lossy(&name)).unwrap_or_default();
    format!("a {name}")
}
