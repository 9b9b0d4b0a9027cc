//! `wsgi.input`: the whole request body, bounded by its end.

use std::sync::atomic::{AtomicU64, Ordering};

use flupd_channel::worker::Body;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice};

use crate::body::Source;
use crate::gate;

/// The file-like object that an app reads the request body from.
#[pyclass(frozen, module = "flupd_worker")]
pub(crate) struct Input {
    source: Source,
    at: AtomicU64,
}

impl Input {
    pub(crate) fn new(body: Body) -> Self {
        Self { source: body.into(), at: AtomicU64::new(0) }
    }

    /// Of a request without a body.
    pub(crate) fn empty() -> Self {
        Self::new(Body::Memory(Vec::new()))
    }

    /// Reserves the next bytes, `limit` at most, and says from where to where.
    fn advance(&self, limit: u64) -> (u64, u64) {
        let end = |at: u64| at.saturating_add(limit).min(self.source.length());
        let before = self.at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(end(at)));
        let at = before.unwrap_or_else(|at| at);
        (at, end(at))
    }

    fn bytes<'py>(&self, py: Python<'py>, (at, end): (u64, u64)) -> PyResult<Bound<'py, PyBytes>> {
        let length = usize::try_from(end - at)?;
        PyBytes::new_with(py, length, |out| {
            Ok(if self.source.may_wait() && length > 0 {
                gate::detached(py, || self.source.read(at, out))
            } else {
                self.source.read(at, out)
            }?)
        })
    }

    fn line<'py>(&self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let at = self.at.load(Ordering::Relaxed);
        let length = if self.source.may_wait() {
            gate::detached(py, || self.source.line_length(at, limit))
        } else {
            self.source.line_length(at, limit)
        }?;
        let span = self.advance(length);
        self.bytes(py, span)
    }
}

#[pymethods]
impl Input {
    /// Up to `size` bytes; all that is left when it is None or negative.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let span = self.advance(limit(size));
        self.bytes(py, span)
    }

    /// Reads into a writable buffer and says how much.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<u64> {
        let view = py.import("builtins")?.getattr("memoryview")?.call1((buffer,))?;
        if view.getattr("readonly")?.is_truthy()? {
            return Err(PyTypeError::new_err("readinto() needs a writable buffer"));
        }
        let view = view.call_method1("cast", ("B",))?;
        let (at, end) = self.advance(view.len()? as u64);
        let length = isize::try_from(end - at)?;
        view.set_item(PySlice::new(py, 0, length, 1), self.bytes(py, (at, end))?)?;
        Ok(end - at)
    }

    /// The next line, its end included; up to `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.line(py, limit(size))
    }

    /// The lines that are left, or as many as reach `hint` bytes.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        // As io.IOBase: no hint, or none that means something, is no limit.
        let limit = limit(hint.filter(|&hint| hint > 0));
        let lines = PyList::empty(py);
        let mut total = 0;
        while total < limit {
            let line = self.line(py, u64::MAX)?;
            if line.as_bytes().is_empty() {
                break;
            }
            total += line.as_bytes().len() as u64;
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.line(py, u64::MAX)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }
}

/// None and negative sizes mean "all".
fn limit(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
}
