//! Requests that name the same params in the same order: those of one kind of
//! client behind one web server do.
//!
//! Most of their values are the same, too. So the environ of the last one is
//! kept, what has changed is set in it, and the app gets a copy. A copy is one
//! block of memory, and no key is hashed or looked up. That holds also for what
//! the app is given to answer with, for it mostly is that of the last request.

use flupd_channel::worker::EncodedParams;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::handles::Handles;
use crate::raw;

/// What such requests have in common.
pub(crate) struct Shape {
    fingerprint: u64,
    /// The last request's.
    params: EncodedParams,
    names: Vec<Py<PyString>>,
    /// The last request's, but for `wsgi.input`.
    environ: Py<PyDict>,
    /// Of the [`Handles`] in that environ.
    pub(crate) serial: u64,
}

impl Shape {
    /// Of the request with these params, whose environ this is, with the handles of
    /// this serial number. Each name stands once in the params.
    pub(crate) fn new(
        params: EncodedParams,
        names: Vec<Py<PyString>>,
        environ: Py<PyDict>,
        serial: u64,
    ) -> Self {
        Self { fingerprint: fingerprint(&params), params, names, environ, serial }
    }

    /// Whether requests with this [`fingerprint`] can be of this shape.
    pub(crate) const fn may_be(&self, fingerprint: u64) -> bool {
        self.fingerprint == fingerprint
    }

    /// A new environ for a request of this shape; `None` if it is of another.
    /// The params are exchanged for the last request's, to be used again.
    ///
    /// # Errors
    /// Python's, usually that there is no more memory. The shape must not be
    /// used any more.
    pub(crate) fn follow<'py>(
        &mut self,
        py: Python<'py>,
        params: &mut EncodedParams,
        changed: &mut Vec<usize>,
        handles: &Handles,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let environ = self.environ.bind(py);
        if self.params != *params {
            changed.clear();
            if params.count() != self.names.len() {
                return Ok(None);
            }
            for (place, (new, old)) in params.iter().zip(self.params.iter()).enumerate() {
                if new != old {
                    if new.name() != old.name() {
                        return Ok(None);
                    }
                    changed.push(place);
                }
            }
            self.set(environ, params, changed)?;
            std::mem::swap(&mut self.params, params);
        }
        if self.serial != handles.serial {
            set_handles(environ, handles)?;
            self.serial = handles.serial;
        }
        environ.copy().map(Some)
    }

    /// Sets what has changed.
    fn set(
        &self,
        environ: &Bound<'_, PyDict>,
        params: &EncodedParams,
        changed: &[usize],
    ) -> PyResult<()> {
        let py = environ.py();
        let mut changed = changed.iter().copied().peekable();
        let mut scheme = false;
        for (place, (pair, name)) in params.iter().zip(&self.names).enumerate() {
            if changed.next_if_eq(&place).is_some() {
                environ.set_item(name, raw::decode(py, pair.value())?)?;
                scheme |= matches!(pair.name(), b"HTTPS" | b"REQUEST_SCHEME");
            }
        }
        if scheme { set_scheme(environ, params) } else { Ok(()) }
    }
}

/// Tells most shapes apart: a digest of the lengths of the names.
pub(crate) fn fingerprint(params: &EncodedParams) -> u64 {
    // FNV-1a, a length at a time.
    let digest = |digest: u64, name| (digest ^ name as u64).wrapping_mul(0x0100_0000_01b3);
    params.name_lengths().fold(0xcbf2_9ce4_8422_2325, digest)
}

/// What the app answers with, as far as it stands in the environ.
pub(crate) fn set_handles(environ: &Bound<'_, PyDict>, handles: &Handles) -> PyResult<()> {
    environ.set_item(intern!(environ.py(), "wsgi.errors"), &handles.errors)?;
    environ.set_item(intern!(environ.py(), "flupd.cancelled"), &handles.cancelled)
}

/// `wsgi.url_scheme`.
pub(crate) fn set_scheme(environ: &Bound<'_, PyDict>, params: &EncodedParams) -> PyResult<()> {
    let py = environ.py();
    let pairs = params.iter().map(|pair| (pair.name(), pair.value()));
    let scheme = if secure(pairs) { intern!(py, "https") } else { intern!(py, "http") };
    environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)
}

/// Whether the client spoke https, as far as the web server says.
fn secure<'p>(params: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> bool {
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
            assert_eq!(secure(pairs), expected, "{params:?}");
        }
    }
}
