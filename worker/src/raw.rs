//! The few calls into the interpreter that every request makes many of, or that
//! a safe wrapper makes dear: native strings, `bytes` that are filled in place,
//! a call with two arguments. All of them are in the limited API of 3.9.
//!
//! PEP 3333's "native strings" are `str` whose characters are bytes, latin-1.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;

use flupd_channel::worker::SharedBody;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rustix::io::{Errno, pread};

/// How long a text is encoded without allocating, in characters.
const SHORT: usize = 96;

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

/// Room for the bytes of one text.
pub(crate) struct Room {
    short: [u8; SHORT],
    long: Vec<u8>,
}

impl Room {
    pub(crate) const fn new() -> Self {
        Self { short: [0; SHORT], long: Vec::new() }
    }

    /// The bytes of a `str`; `None` if a character is past U+00FF.
    pub(crate) fn encode(&mut self, text: &Bound<'_, PyString>) -> Option<&[u8]> {
        let mut wide = [MaybeUninit::<u32>::uninit(); SHORT];
        // SAFETY: the argument is a live str, and we are attached.
        let length = usize::try_from(unsafe { ffi::PyUnicode_GetLength(text.as_ptr()) }).ok()?;
        if length > SHORT {
            self.long = encode(text)?;
            return Some(&self.long);
        }
        let into = wide.as_mut_ptr().cast();
        // SAFETY: `into` has room for SHORT characters, which the function is
        // told and which are enough for this str; it writes all `length` of
        // them, without a null character at the end.
        let wide = unsafe {
            let done = ffi::PyUnicode_AsUCS4(text.as_ptr(), into, SHORT as isize, 0);
            if done.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            std::slice::from_raw_parts(wide.as_ptr().cast::<u32>(), length)
        };
        let bytes = &mut self.short[..length];
        let mut all = 0;
        for (byte, &character) in bytes.iter_mut().zip(wide) {
            all |= character;
            *byte = character as u8;
        }
        (all <= 0xff).then_some(bytes)
    }
}

fn encode(text: &Bound<'_, PyString>) -> Option<Vec<u8>> {
    // SAFETY: the argument is a live str; the function returns a new reference
    // to bytes, or null with an exception set, and we are attached.
    let bytes = unsafe {
        let bytes = ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Bound::from_owned_ptr_or_err(text.py(), bytes).ok()?.cast_into_unchecked::<PyBytes>()
    };
    Some(bytes.as_bytes().to_vec())
}

/// A block of memory that is being filled from its start.
pub(crate) struct Unfilled<'b> {
    block: &'b mut [MaybeUninit<u8>],
    filled: usize,
}

impl Unfilled<'_> {
    /// Fills it with what stands in the file from `at` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is too short, and what `pread(2)` reports.
    pub(crate) fn read(&mut self, file: &File, at: u64) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.block.get_mut(self.filled..) {
            match pread(file, rest, at + self.filled as u64) {
                Ok(([], _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((read, _)) => self.filled += read.len(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills it with what stands in the body from `at` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the body is too short.
    pub(crate) fn copy(&mut self, body: &SharedBody, at: u64) -> io::Result<()> {
        let rest = self.block.get_mut(self.filled..).unwrap_or_default();
        if !body.copy_to(at, rest) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled = self.block.len();
        Ok(())
    }
}

/// New `bytes` of this length, which `fill` has to fill.
pub(crate) fn bytes<'py>(
    py: Python<'py>,
    length: usize,
    fill: impl FnOnce(&mut Unfilled<'_>) -> PyResult<()>,
) -> PyResult<Bound<'py, PyBytes>> {
    if length == 0 {
        return Ok(PyBytes::new(py, b""));
    }
    let size = isize::try_from(length)?;
    // SAFETY: without a source the function returns new bytes whose contents are
    // not initialised, or null with an exception set. Nobody else has them yet.
    let bytes = unsafe {
        let bytes = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
        Bound::from_owned_ptr_or_err(py, bytes)?.cast_into_unchecked::<PyBytes>()
    };
    // SAFETY: `bytes` has a block of this length, which nobody else has. They
    // are dropped unseen unless all of it is filled.
    let block = unsafe {
        let at = ffi::PyBytes_AsString(bytes.as_ptr());
        std::slice::from_raw_parts_mut(at.cast::<MaybeUninit<u8>>(), length)
    };
    let mut unfilled = Unfilled { block, filled: 0 };
    fill(&mut unfilled)?;
    match unfilled.filled == length {
        true => Ok(bytes),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// `callable(a, b)`.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let end = std::ptr::null_mut::<ffi::PyObject>();
    // SAFETY: all are live objects, and null ends the arguments; the function
    // returns a new reference, or null with an exception set. We are attached.
    unsafe {
        let (callable, a, b, py) = (callable.as_ptr(), a.as_ptr(), b.as_ptr(), callable.py());
        let result = ffi::PyObject_CallFunctionObjArgs(callable, a, b, end);
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// How many references to the object there are. If all are ours, nobody else can
/// have it, nor get it, while we are attached.
pub(crate) fn references<T>(_py: Python<'_>, object: &Py<T>) -> usize {
    // SAFETY: a live object, and we are attached.
    usize::try_from(unsafe { ffi::Py_REFCNT(object.as_ptr()) }).unwrap_or(usize::MAX)
}
