//! The Python package `flup`, inside this library: a script that flupd runs finds
//! it although nothing is installed.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

macro_rules! package {
    ($($name:literal: $file:literal,)*) => {
        &[$(($name, $file, include_str!(concat!("../../flup/", $file)))),*]
    };
}

/// Name, file and text of each module.
const MODULES: &[(&str, &str, &str)] = package! {
    "flup": "__init__.py",
    "flup._program": "_program.py",
    "flup.client": "client/__init__.py",
    "flup.client._backend": "client/_backend.py",
    "flup.client.fcgi_app": "client/fcgi_app.py",
    "flup.client.scgi_app": "client/scgi_app.py",
    "flup.server": "server/__init__.py",
    "flup.server._answer": "server/_answer.py",
    "flup.server._base": "server/_base.py",
    "flup.server._cgi": "server/_cgi.py",
    "flup.server._crew": "server/_crew.py",
    "flup.server._errorpage": "server/_errorpage.py",
    "flup.server._hosted": "server/_hosted.py",
    "flup.server._listening": "server/_listening.py",
    "flup.server._native": "server/_native.py",
    "flup.server._output": "server/_output.py",
    "flup.server._running": "server/_running.py",
    "flup.server.ajp": "server/ajp.py",
    "flup.server.ajp_fork": "server/ajp_fork.py",
    "flup.server.cgi": "server/cgi.py",
    "flup.server.fcgi": "server/fcgi.py",
    "flup.server.fcgi_base": "server/fcgi_base.py",
    "flup.server.fcgi_fork": "server/fcgi_fork.py",
    "flup.server.fcgi_single": "server/fcgi_single.py",
    "flup.server.paste_factory": "server/paste_factory.py",
    "flup.server.preforkserver": "server/preforkserver.py",
    "flup.server.scgi": "server/scgi.py",
    "flup.server.scgi_base": "server/scgi_base.py",
    "flup.server.scgi_fork": "server/scgi_fork.py",
    "flup.server.singleserver": "server/singleserver.py",
    "flup.server.threadedserver": "server/threadedserver.py",
    "flup.server.threadpool": "server/threadpool.py",
};

/// The finder that serves them.
const FINDER: &str = include_str!("flup.py");

/// Answers `import flup…` from here on, also where another flup is installed: a
/// script that flupd runs is served by flupd.
///
/// # Errors
/// What Python raises, such as for want of memory.
pub fn answer_imports(py: Python<'_>) -> PyResult<()> {
    let modules = PyDict::new(py);
    for (name, file, text) in MODULES {
        modules.set_item(name, (file, text))?;
    }
    let names = PyDict::new(py);
    let code = py.import("builtins")?.call_method1("compile", (FINDER, "<flupd>", "exec"))?;
    py.import("builtins")?.call_method1("exec", (code, &names))?;
    names.as_any().get_item("install")?.call1((modules,))?;
    Ok(())
}

/// Names the library that an `import flup…` shall use: this one, once it has all
/// that the package needs.
///
/// # Errors
/// What Python raises, such as for want of memory.
pub fn use_library(library: &Bound<'_, PyModule>) -> PyResult<()> {
    let modules = library.py().import("sys")?.getattr("modules")?;
    modules.set_item("_flupd_solo", library)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn no_module_of_the_package_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flup");
        let mut found: Vec<String> = Vec::new();
        for folder in ["", "client", "server"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".py") {
                    found.push(Path::new(folder).join(name).to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        let mut listed: Vec<_> = MODULES.iter().map(|(_, file, _)| (*file).to_owned()).collect();
        listed.sort();
        assert_eq!(listed, found);
    }

    #[test]
    fn the_version_names_this_flupd() {
        let version = format!("__version__ = \"1.0.3+flupd.{}\"", env!("CARGO_PKG_VERSION"));
        assert!(MODULES[0].2.contains(&version), "{version}");
    }
}
