//! What an app is given to answer a request with.
//!
//! Few apps keep any of it. Where nobody has, the next request gets the same
//! objects: for the app they can't be told from new ones.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::errors::Errors;
use crate::exchange::Exchange;
use crate::raw::is_the_only;
use crate::start_response::StartResponse;

/// All that leads to one [`Exchange`].
pub(crate) struct Handles {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) start_response: Py<StartResponse>,
    pub(crate) errors: Py<Errors>,
}

impl Handles {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let exchange = Arc::new(Exchange::new());
        let start_response = StartResponse::new(py, &exchange)?;
        let errors = Py::new(py, Errors::new(Arc::clone(&exchange)))?;
        Ok(Self { exchange, start_response: Py::new(py, start_response)?, errors })
    }

    /// Whether nobody else has any of it.
    pub(crate) fn are_free(&self, py: Python<'_>) -> bool {
        is_the_only(py, &self.start_response)
            && is_the_only(py, &self.errors)
            && is_the_only(py, self.start_response.get().write())
    }
}
