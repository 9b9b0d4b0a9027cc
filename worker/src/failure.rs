//! Exceptions as text.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::leaving;

/// The traceback as Python prints it, with causes and without a final newline.
pub(crate) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let format = || {
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        let lines = py.import("traceback")?.call_method1("format_exception", parts)?;
        let text = PyString::new(py, "").call_method1("join", (lines,))?;
        Ok::<_, PyErr>(lossy(&text).trim_end().to_owned())
    };
    // This is Python code: a signal handler may run in it and raise, even
    // SystemExit. That must not be lost, nor cost the traceback.
    let formatted = format().or_else(|interruption| {
        leaving::obey(py, &interruption);
        format()
    });
    // Else an exception whose own __str__ fails in odd ways, or no memory.
    formatted.unwrap_or_else(|_| summary(py, error))
}

/// `ValueError: what it says`, on one line where the message is.
fn summary(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py);
    let kind = kind.name().map_or_else(|_| "an exception".into(), |name| lossy(&name));
    match error.value(py).str() {
        Ok(message) if !message.is_empty().unwrap_or(true) => {
            format!("{kind}: {}", lossy(&message))
        }
        _ => kind,
    }
}

/// A Python string as UTF-8; what can't be encoded is replaced.
pub(crate) fn lossy(text: &Bound<'_, PyAny>) -> String {
    text.cast::<PyString>()
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}
