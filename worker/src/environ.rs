//! The environ of a request: params as native strings, and the keys of WSGI and
//! of flupd, which `docs/environ.md` lists.

use std::collections::HashMap;

use flupd_channel::Role;
use flupd_channel::worker::EncodedParams;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::file_wrapper::FileWrapper;
use crate::handles::Handles;
use crate::input::Input;
use crate::raw;
use crate::shape::{Shape, fingerprint, set_handles, set_scheme};

/// How many names are remembered. Clients invent header names at will.
const MOST_NAMES: usize = 512;

/// The longest name that is remembered, in bytes.
const LONGEST_NAME: usize = 128;

/// How many shapes are remembered.
const MOST_SHAPES: usize = 16;

/// The largest params of which a shape is remembered, in bytes.
const LARGEST_SHAPE: usize = 8 * 1024;

/// The keys that are the same in every environ of this worker. Those of requests
/// without a body have this input.
pub(crate) fn template<'py>(
    py: Python<'py>,
    multithread: bool,
    multiprocess: bool,
    no_input: &Py<Input>,
) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    environ.set_item(intern!(py, "wsgi.version"), PyTuple::new(py, [1, 0])?)?;
    environ.set_item(intern!(py, "wsgi.multithread"), multithread)?;
    environ.set_item(intern!(py, "wsgi.multiprocess"), multiprocess)?;
    environ.set_item(intern!(py, "wsgi.run_once"), false)?;
    environ.set_item(intern!(py, "wsgi.input_terminated"), true)?;
    environ.set_item(intern!(py, "wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
    environ.set_item(intern!(py, "wsgi.input"), no_input)?;
    environ.set_item(intern!(py, "flupd.role"), Role::default().name())?;
    // These are set later; here they keep their places.
    for name in ["wsgi.url_scheme", "wsgi.errors", "flupd.cancelled"] {
        environ.set_item(PyString::intern(py, name), py.None())?;
    }
    Ok(environ)
}

/// Says what is wanted of the app, and gives a Filter its file.
pub(crate) fn set_role(
    environ: &Bound<'_, PyDict>,
    role: Role,
    data: Option<&Py<Input>>,
) -> PyResult<()> {
    let py = environ.py();
    environ.set_item(intern!(py, "flupd.role"), role.name())?;
    data.map_or(Ok(()), |data| environ.set_item(intern!(py, "flupd.data"), data))
}

/// Builds environs for one app thread.
pub(crate) struct Environs {
    template: Py<PyDict>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
    shapes: Vec<Shape>,
    /// Which shape makes room for the next.
    oldest: usize,
    changed: Vec<usize>,
    /// Which handles the last request had, and in how many shapes they stand.
    serial: u64,
    held: usize,
}

impl Environs {
    pub(crate) fn new(template: Py<PyDict>) -> Self {
        let (names, shapes, changed) = (HashMap::new(), Vec::new(), Vec::new());
        Self { template, names, shapes, oldest: 0, changed, serial: 0, held: 0 }
    }

    /// In how many environs the handles of the last request are kept.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// The environ of one request. What is left of the params is only memory. No
    /// input is that of the template.
    pub(crate) fn build<'py>(
        &mut self,
        py: Python<'py>,
        params: &mut EncodedParams,
        input: Option<&Py<Input>>,
        handles: &Handles,
    ) -> PyResult<Bound<'py, PyDict>> {
        if self.serial != handles.serial {
            (self.serial, self.held) = (handles.serial, 0);
        }
        let environ = match self.follow(py, params, handles) {
            Ok(Some(environ)) => environ,
            Ok(None) => self.learn(py, params, handles)?,
            Err(error) => {
                // One of them is between two requests.
                self.shapes.clear();
                self.held = 0;
                return Err(error);
            }
        };
        if let Some(input) = input {
            environ.set_item(intern!(py, "wsgi.input"), input)?;
        }
        Ok(environ)
    }

    fn follow<'py>(
        &mut self,
        py: Python<'py>,
        params: &mut EncodedParams,
        handles: &Handles,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let fingerprint = fingerprint(params);
        for shape in self.shapes.iter_mut().filter(|shape| shape.may_be(fingerprint)) {
            let before = shape.serial;
            let environ = shape.follow(py, params, &mut self.changed, handles)?;
            if environ.is_some() {
                self.held += usize::from(before != self.serial);
                return Ok(environ);
            }
        }
        Ok(None)
    }

    /// The environ of a request of a new shape, which is remembered.
    fn learn<'py>(
        &mut self,
        py: Python<'py>,
        params: &mut EncodedParams,
        handles: &Handles,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.template.bind(py).copy()?;
        set_handles(&environ, handles)?;
        let mut names = Vec::with_capacity(params.count());
        for pair in params.iter() {
            // These are ours, whatever a web server is told to send.
            if [&b"wsgi."[..], b"flupd."].iter().any(|ours| pair.name().starts_with(ours)) {
                continue;
            }
            let name = self.name(py, pair.name())?;
            environ.set_item(&name, raw::decode(py, pair.value())?)?;
            names.push(name.unbind());
        }
        set_scheme(&environ, params)?;
        let constant = self.template.bind(py).len();
        let once = environ.len() == constant + names.len() && names.len() == params.count();
        if !once || params.size() > LARGEST_SHAPE {
            return Ok(environ);
        }
        let copy = environ.copy()?;
        let shape = Shape::new(std::mem::take(params), names, environ.unbind(), handles.serial);
        self.held += 1;
        match self.shapes.get_mut(self.oldest) {
            Some(oldest) => {
                self.held -= usize::from(oldest.serial == handles.serial);
                *oldest = shape;
            }
            None => self.shapes.push(shape),
        }
        self.oldest = (self.oldest + 1) % MOST_SHAPES;
        Ok(copy)
    }

    fn name<'py>(&mut self, py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some(text) = self.names.get(name) {
            return Ok(text.bind(py).clone());
        }
        let text = raw::decode(py, name)?;
        if self.names.len() < MOST_NAMES && name.len() <= LONGEST_NAME {
            self.names.insert(name.into(), text.clone().unbind());
        }
        Ok(text)
    }
}
