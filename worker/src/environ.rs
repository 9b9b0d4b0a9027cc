//! The environ of a request: params as native strings, and the wsgi.* keys.

use std::collections::HashMap;

use cgi::Params;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::errors::Errors;
use crate::file_wrapper::FileWrapper;
use crate::input::Input;
use crate::latin1;

/// How many names are remembered. Clients invent header names at will.
const MOST_NAMES: usize = 512;

/// The longest name that is remembered, in bytes.
const LONGEST_NAME: usize = 128;

/// The keys that are the same in every environ of this worker.
pub(crate) fn template(
    py: Python<'_>,
    multithread: bool,
    multiprocess: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let environ = PyDict::new(py);
    environ.set_item(intern!(py, "wsgi.version"), PyTuple::new(py, [1, 0])?)?;
    environ.set_item(intern!(py, "wsgi.multithread"), multithread)?;
    environ.set_item(intern!(py, "wsgi.multiprocess"), multiprocess)?;
    environ.set_item(intern!(py, "wsgi.run_once"), false)?;
    environ.set_item(intern!(py, "wsgi.input_terminated"), true)?;
    environ.set_item(intern!(py, "wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
    Ok(environ)
}

/// Builds environs for one app thread.
///
/// Web servers send their params in the same order each time, so each key is
/// guessed from the one that stood in its place in the last request.
pub(crate) struct Environs {
    template: Py<PyDict>,
    guesses: Vec<Name>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
}

struct Name {
    bytes: Box<[u8]>,
    text: Py<PyString>,
}

impl Environs {
    pub(crate) fn new(template: Py<PyDict>) -> Self {
        Self { template, guesses: Vec::new(), names: HashMap::new() }
    }

    /// The environ of one request.
    pub(crate) fn build<'py>(
        &mut self,
        py: Python<'py>,
        params: &Params,
        input: &Py<Input>,
        errors: Errors,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.template.bind(py).copy()?;
        for (place, (name, value)) in params.iter().enumerate() {
            // These are ours, whatever a web server is told to send.
            if name.starts_with(b"wsgi.") {
                continue;
            }
            let name = self.name(py, place, name)?;
            environ.set_item(name, latin1::decode(py, value)?)?;
        }
        let scheme = if secure(params) { intern!(py, "https") } else { intern!(py, "http") };
        environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)?;
        environ.set_item(intern!(py, "wsgi.input"), input)?;
        environ.set_item(intern!(py, "wsgi.errors"), Bound::new(py, errors)?)?;
        Ok(environ)
    }

    fn name<'py>(
        &mut self,
        py: Python<'py>,
        place: usize,
        name: &[u8],
    ) -> PyResult<Bound<'py, PyString>> {
        if let Some(guess) = self.guesses.get(place)
            && *guess.bytes == *name
        {
            return Ok(guess.text.bind(py).clone());
        }
        if let Some(text) = self.names.get(name) {
            let text = text.bind(py).clone();
            self.guess(place, name, &text);
            return Ok(text);
        }
        let text = latin1::decode(py, name)?;
        if self.names.len() < MOST_NAMES && name.len() <= LONGEST_NAME {
            self.names.insert(name.into(), text.clone().unbind());
        }
        Ok(text)
    }

    /// Expects a remembered name in this place next time.
    fn guess(&mut self, place: usize, name: &[u8], text: &Bound<'_, PyString>) {
        let guess = Name { bytes: name.into(), text: text.clone().unbind() };
        if let Some(old) = self.guesses.get_mut(place) {
            *old = guess;
        } else if place == self.guesses.len() && place < MOST_NAMES {
            self.guesses.push(guess);
        }
    }
}

/// Whether the client spoke https, as far as the web server says.
fn secure(params: &Params) -> bool {
    let mut secure = false;
    for (name, value) in params {
        match name {
            b"HTTPS" => {
                return [&b"on"[..], b"1", b"true"].iter().any(|on| value.eq_ignore_ascii_case(on));
            }
            b"REQUEST_SCHEME" => secure = value.eq_ignore_ascii_case(b"https"),
            _ => {}
        }
    }
    secure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_what_the_web_server_says() {
        for (params, expected) in [
            (&[][..], false),
            (&[("HTTPS", "on")], true),
            (&[("HTTPS", "1")], true),
            (&[("HTTPS", "True")], true),
            (&[("HTTPS", "off")], false),
            (&[("HTTPS", "")], false),
            (&[("REQUEST_SCHEME", "https")], true),
            (&[("REQUEST_SCHEME", "http")], false),
            (&[("REQUEST_SCHEME", "http"), ("HTTPS", "on")], true),
        ] {
            let pairs = params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(secure(&pairs.collect()), expected, "{params:?}");
        }
    }
}
