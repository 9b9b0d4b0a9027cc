//! PEP 3333's "native strings": a `str` whose characters are bytes, latin-1.
//!
//! The interpreter's own codecs are several times faster than what a safe
//! wrapper offers, and every value of the environ passes here.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// A `str` with one character per byte.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = isize::try_from(bytes.len())?;
    // SAFETY: pointer and length describe one live slice, which the function
    // only reads; it returns a new reference to a str, or null with an
    // exception set, and we are attached.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// The bytes of a `str`; `UnicodeEncodeError` if a character is past U+00FF.
pub(crate) fn encode<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: the argument is a live str; the function returns a new reference
    // to bytes, or null with an exception set, and we are attached.
    unsafe {
        let bytes = ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(text.py(), bytes)?.cast_into_unchecked())
    }
}
