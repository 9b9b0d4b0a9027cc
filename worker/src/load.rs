//! Finds the app: the callable that the user has named.

use std::path::Path;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::failure::lossy;
use crate::import::{self, Unimported, broken};
use crate::spec::{AppSpec, Object, Place};

/// What an app is called when the user does not say.
const USUAL_NAMES: [&str; 2] = ["application", "app"];

/// How many names an error lists at most.
const MOST_LISTED: usize = 20;

/// An app that is ready to be called.
#[derive(Debug)]
pub struct App {
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
        Place::Module(name) => (import::by_name(py, name)?, name.clone()),
        Place::File(path) => (import::by_path(py, path)?, path.display().to_string()),
    };
    match &spec.object {
        Some(object) => named(&module, &shown, object),
        None => usual(&module, &shown),
    }
}

/// The app of a script that has run, under one of the usual names.
///
/// # Errors
/// What was tried, and what to do.
pub(crate) fn usual_in(main: &Bound<'_, PyModule>, shown: &str) -> Result<App, String> {
    let mut tried = Vec::new();
    under_usual_name(main, shown, &mut tried).ok_or_else(|| {
        format!(
            "{shown} has ended without serving an app, and has none of the names application \
             and app; {}",
            callables(main)
        )
    })
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
    if !found.is_callable() {
        return Err(format!("{name} is not callable: it is of the type {}", kind(&found)));
    }
    if object.factory {
        found = found.call0().map_err(|error| broken(py, &error, &format!("calling {name}")))?;
        if !found.is_callable() {
            let kind = kind(&found);
            return Err(format!("what {name} returned is not callable: it is of the type {kind}"));
        }
    }
    Ok(App { callable: found.unbind(), name })
}

/// The app under one of the usual names: in the module, or, if it is a package,
/// in its module `wsgi`.
fn usual(module: &Bound<'_, PyModule>, shown: &str) -> Result<App, String> {
    let mut tried = Vec::new();
    if let Some(app) = under_usual_name(module, shown, &mut tried) {
        return Ok(app);
    }
    let mut listed = callables(module);
    if module.hasattr("__path__").unwrap_or(false) {
        let inner = format!("{shown}.wsgi");
        match import::by_name(module.py(), &inner) {
            Ok(module) => {
                if let Some(app) = under_usual_name(&module, &inner, &mut tried) {
                    return Ok(app);
                }
                listed = callables(&module);
            }
            Err(Unimported::Missing(_)) => tried.push(inner),
            Err(Unimported::Broken(text)) => return Err(text),
        }
    }
    Err(format!("no app was found in {shown}: tried {}; {listed}", tried.join(", ")))
}

fn under_usual_name(
    module: &Bound<'_, PyModule>,
    shown: &str,
    tried: &mut Vec<String>,
) -> Option<App> {
    USUAL_NAMES.iter().find_map(|name| {
        let found = module.getattr(*name).ok().filter(PyAnyMethods::is_callable);
        let name = format!("{shown}:{name}");
        tried.push(name.clone());
        Some(App { callable: found?.unbind(), name })
    })
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
    object.get_type().name().map(|name| lossy(&name)).unwrap_or_default()
}
