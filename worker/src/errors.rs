//! `wsgi.errors`: text for the web server's error log.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::exchange::{Exchange, to_stderr};
use crate::{fork, gate};

/// The text stream that an app reports its errors to.
#[pyclass(frozen, module = "flupd_worker")]
pub(crate) struct Errors {
    exchange: Arc<Exchange>,
}

impl Errors {
    pub(crate) const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }
}

#[pymethods]
impl Errors {
    /// Takes text; whole lines go out at once.
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<usize> {
        let Ok(text) = text.cast::<PyString>() else {
            let kind = text.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "wsgi.errors.write() takes a str, not {kind}"
            )));
        };
        let bytes = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
        let bytes: &[u8] = bytes.extract()?;
        if fork::in_a_child() {
            to_stderr(bytes);
        } else {
            gate::detached(py, || self.exchange.errors(bytes));
        }
        text.len()
    }

    /// Takes several pieces of text.
    fn writelines(&self, py: Python<'_>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(py, &line?)?;
        }
        Ok(())
    }

    /// Whole lines have already gone out, and parts of lines stay until they end.
    #[allow(clippy::unused_self)]
    fn flush(&self) {}
}
