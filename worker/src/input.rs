//! `wsgi.input`: the whole request body, bounded by its end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flupd_channel::worker::Body;
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice};

use crate::body::Source;
use crate::{fork, gate, raw};

/// The file-like object that an app reads the request body from.
///
/// The gateway uses the memory of a large body again for the next request, which
/// is another client's. So an input that is kept reads nothing after its own.
#[pyclass(frozen, module = "flupd_worker")]
pub(crate) struct Input {
    /// `None` once the request has ended. Held for moments only.
    source: Mutex<Option<Arc<Source>>>,
    at: AtomicU64,
}

impl Input {
    pub(crate) fn new(body: Body) -> Self {
        Self { source: Mutex::new(Some(Arc::new(body.into()))), at: AtomicU64::new(0) }
    }

    /// Of a request without a body.
    pub(crate) fn empty() -> Self {
        Self::new(Body::Memory(Vec::new()))
    }

    /// The request has ended: every read fails from now on. Before the gateway
    /// hears of the end.
    pub(crate) fn end(&self) {
        let source = self.lock().take();
        drop(source);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Source>>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self) -> PyResult<Arc<Source>> {
        let source = self.lock().clone().ok_or_else(ended)?;
        // A child does not hear when its parent's request ends.
        if source.is_shared() && fork::in_a_child() {
            return Err(PyOSError::new_err("the request body belongs to the parent process"));
        }
        Ok(source)
    }

    /// Reads, and sees that the request had not ended meanwhile: another thread
    /// of the app may read while the request ends.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        source: &Source,
        ask: impl Send + FnOnce() -> io::Result<T>,
    ) -> PyResult<T> {
        let answer = if source.is_shared() { gate::detached(py, ask) } else { ask() }?;
        if self.lock().is_none() { Err(ended()) } else { Ok(answer) }
    }

    /// Reserves the next bytes, `limit` at most, and says from where to where.
    fn advance(&self, source: &Source, limit: u64) -> (u64, u64) {
        let end = |at: u64| at.saturating_add(limit).min(source.length());
        let before = self.at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(end(at)));
        let at = before.unwrap_or_else(|at| at);
        (at, end(at))
    }

    fn bytes<'py>(
        &self,
        py: Python<'py>,
        source: &Source,
        (at, end): (u64, u64),
    ) -> PyResult<Bound<'py, PyBytes>> {
        let length = usize::try_from(end - at)?;
        if let Some(bytes) = source.held(at, length, |held| PyBytes::new(py, held)) {
            return Ok(bytes);
        }
        raw::bytes(py, length, |out| self.ask(py, source, || source.read(at, out)))
    }

    fn line<'py>(&self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let source = self.source()?;
        let at = self.at.load(Ordering::Relaxed);
        let length = self.ask(py, &source, || source.line_length(at, limit))?;
        let span = self.advance(&source, length);
        self.bytes(py, &source, span)
    }
}

#[pymethods]
impl Input {
    /// Up to `size` bytes; all that is left when it is None or negative.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let source = self.source()?;
        let span = self.advance(&source, limit(size));
        self.bytes(py, &source, span)
    }

    /// Reads into a writable buffer and says how much.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<u64> {
        let view = py.import("builtins")?.getattr("memoryview")?.call1((buffer,))?;
        if view.getattr("readonly")?.is_truthy()? {
            return Err(PyTypeError::new_err("readinto() needs a writable buffer"));
        }
        let view = view.call_method1("cast", ("B",))?;
        let source = self.source()?;
        let (at, end) = self.advance(&source, view.len()? as u64);
        let length = isize::try_from(end - at)?;
        view.set_item(PySlice::new(py, 0, length, 1), self.bytes(py, &source, (at, end))?)?;
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

/// As a closed file says it.
fn ended() -> PyErr {
    PyValueError::new_err("the request has ended")
}
