//! What an app is given to answer a request with.
//!
//! Few apps keep any of it. Where nobody has, the next request gets the same
//! objects: for the app they can't be told from new ones. What stands in each
//! environ stays in those that [`Environs`](crate::environ::Environs) keeps.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::cancelled::Cancelled;
use crate::errors::Errors;
use crate::exchange::Exchange;
use crate::raw::references;
use crate::start_response::StartResponse;

/// All that leads to one [`Exchange`].
pub(crate) struct Handles {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) start_response: Py<StartResponse>,
    pub(crate) errors: Py<Errors>,
    pub(crate) cancelled: Py<Cancelled>,
    /// Tells them from those of other requests.
    pub(crate) serial: u64,
}

impl Handles {
    pub(crate) fn new(py: Python<'_>, serial: u64) -> PyResult<Self> {
        let exchange = Arc::new(Exchange::new());
        let start_response = StartResponse::new(py, &exchange)?;
        let errors = Py::new(py, Errors::new(Arc::clone(&exchange)))?;
        let cancelled = Py::new(py, Cancelled::new(Arc::clone(&exchange)))?;
        let start_response = Py::new(py, start_response)?;
        Ok(Self { exchange, start_response, errors, cancelled, serial })
    }

    /// Whether nobody else has any of it, but for this many environs.
    pub(crate) fn are_free(&self, py: Python<'_>, environs: usize) -> bool {
        references(py, &self.start_response) == 1
            && references(py, self.start_response.get().write()) == 1
            && references(py, &self.errors) == 1 + environs
            && references(py, &self.cancelled) == 1 + environs
    }
}
