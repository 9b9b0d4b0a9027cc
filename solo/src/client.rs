//! The web server's end of the protocols, for `flup.client`: bytes in, bytes out.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use cgi::Params;
use fastcgi_server::client::{self, Decoder, Event, Outcome};
use fastcgi_server::{ProtocolStatus, Role};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// The one request of a connection.
const ID: u16 = 1;

/// One request to a FastCGI server, on a connection of its own.
#[pyclass(frozen, module = "flupd_solo")]
pub(crate) struct FastcgiClient(Mutex<Decoder>);

#[pymethods]
impl FastcgiClient {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(Decoder::new()))
    }

    /// The records of a request up to its body. The params are bytes.
    #[staticmethod]
    fn begin(py: Python<'_>, params: Vec<(Vec<u8>, Vec<u8>)>) -> Bound<'_, PyBytes> {
        let mut out = BytesMut::new();
        client::begin(&mut out, ID, Role::Responder, false);
        client::params(&mut out, ID, &list(params));
        PyBytes::new(py, &out)
    }

    /// The records of a part of the body; of no bytes, its end.
    #[staticmethod]
    fn stdin<'py>(py: Python<'py>, part: &[u8]) -> Bound<'py, PyBytes> {
        let mut out = BytesMut::new();
        match part {
            [] => client::stdin_end(&mut out, ID),
            part => client::stdin(&mut out, ID, part),
        }
        PyBytes::new(py, &out)
    }

    /// What the server said: pairs of "stdout" or "stderr" and bytes, and at the
    /// end of the answer "end" and None.
    ///
    /// Raises OSError when it broke the protocol, or has refused the request.
    fn receive<'py>(&self, py: Python<'py>, mut bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let mut decoder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = PyList::empty(py);
        loop {
            let (used, outcome) = decoder.decode(bytes).map_err(|error| {
                PyOSError::new_err(format!("the FastCGI server broke the protocol: {error}"))
            })?;
            bytes = bytes.get(used..).unwrap_or_default();
            match outcome {
                Outcome::NeedMore => return Ok(said),
                Outcome::Event(Event::Stdout { id: ID, bytes }) => {
                    said.append(("stdout", PyBytes::new(py, bytes)))?;
                }
                Outcome::Event(Event::Stderr { id: ID, bytes }) => {
                    said.append(("stderr", PyBytes::new(py, bytes)))?;
                }
                Outcome::Event(Event::End { id: ID, protocol_status, .. }) => {
                    served(protocol_status)?;
                    said.append(("end", py.None()))?;
                }
                Outcome::Event(_) => {}
            }
        }
    }
}

fn served(status: ProtocolStatus) -> PyResult<()> {
    let why = match status {
        ProtocolStatus::RequestComplete => return Ok(()),
        ProtocolStatus::CantMpxConn => "it takes one request at a time on a connection",
        ProtocolStatus::Overloaded => "it is overloaded",
        ProtocolStatus::UnknownRole => "it is no Responder",
    };
    Err(PyOSError::new_err(format!("the FastCGI server refused the request: {why}")))
}

/// The head of a request to an SCGI server. The params are bytes; the body, of
/// `length` bytes, follows as it is.
#[pyfunction]
pub(crate) fn scgi_request(
    py: Python<'_>,
    params: Vec<(Vec<u8>, Vec<u8>)>,
    length: u64,
) -> Bound<'_, PyBytes> {
    let mut out = BytesMut::new();
    scgi_server::client::request(&mut out, &list(params), length);
    PyBytes::new(py, &out)
}

/// The head of a CGI response: status, headers as pairs of str, and where the
/// body begins; `None` when more bytes are needed. ValueError if it is no head.
#[pyfunction]
pub(crate) fn response_head<'py>(
    py: Python<'py>,
    input: &[u8],
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let parsed = cgi::ResponseHead::parse(input)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let Some((head, body)) = parsed else { return Ok(None) };
    let headers: Vec<(String, String)> =
        head.headers.iter().map(|(name, value)| (latin1(name), latin1(value))).collect();
    let reason = match head.reason.as_slice() {
        [] => "Status".to_owned(),
        reason => latin1(reason),
    };
    Ok(Some((format!("{} {reason}", head.status), headers, body).into_pyobject(py)?))
}

/// PEP 3333's native strings have a character for each byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn list(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Params {
    let mut params = Params::new();
    for (name, value) in &pairs {
        params.push(name, value);
    }
    params
}
