//! `environ["flupd.cancelled"]`: whether the client has gone.

use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;

use crate::exchange::Exchange;
use crate::{fork, watcher};

/// What an app asks whether somebody still waits for its answer.
#[pyclass(frozen, module = "flupd_worker", name = "Cancelled")]
pub(crate) struct Cancelled {
    exchange: Arc<Exchange>,
}

impl Cancelled {
    pub(crate) const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }
}

#[pymethods]
impl Cancelled {
    /// True once nobody waits for the answer any more: the client has gone, the web
    /// server has aborted the request, or the request has ended.
    fn __call__(&self, py: Python<'_>) -> PyResult<bool> {
        parents_only()?;
        Ok(self.exchange.try_with(py, |link| link.look()).unwrap_or(true))
    }

    /// Has this called, without arguments and at most once, when the client goes
    /// while the request runs: in a thread of its own, which is why `f` has to be
    /// thread-safe and quick. Returns `f`, so that it can decorate.
    #[pyo3(signature = (f, /))]
    fn on_cancel(&self, py: Python<'_>, f: Py<PyAny>) -> PyResult<Py<PyAny>> {
        if !f.bind(py).is_callable() {
            let kind = f.bind(py).get_type().name()?;
            return Err(PyTypeError::new_err(format!("on_cancel() takes a callable, not {kind}")));
        }
        parents_only()?;
        watcher::start(py, self.exchange.with(py, |link| link.port.running())?)?;
        let callback = f.clone_ref(py);
        self.exchange.with(py, |link| {
            // Under the link's lock: a request that has ended is not watched.
            link.watched = true;
            watcher::watch(&self.exchange, link.port.running(), callback);
        })?;
        Ok(f)
    }
}

/// A forked child does not hear what becomes of its parent's request.
fn parents_only() -> PyResult<()> {
    match fork::in_a_child() {
        true => Err(PyOSError::new_err("the request belongs to the parent process")),
        false => Ok(()),
    }
}
