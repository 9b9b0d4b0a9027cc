//! `start_response`, and the `write` that it returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flupd_channel::LogLevel;
use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::exchange::{Exchange, Link, Sent};
use crate::head::{Head, Taken};
use crate::raw::Room;
use crate::response::Refused;
use crate::{fork, gate};

/// The callable that an app hands its status and headers to.
#[pyclass(frozen, module = "flupd_worker", name = "start_response")]
pub(crate) struct StartResponse {
    exchange: Arc<Exchange>,
    write: Py<Write>,
}

/// The callable for apps that push their body instead of returning it.
#[pyclass(frozen, module = "flupd_worker", name = "write")]
pub(crate) struct Write {
    exchange: Arc<Exchange>,
}

impl StartResponse {
    pub(crate) fn new(py: Python<'_>, exchange: &Arc<Exchange>) -> PyResult<Self> {
        let write = Py::new(py, Write { exchange: Arc::clone(exchange) })?;
        Ok(Self { exchange: Arc::clone(exchange), write })
    }

    /// What every call returns.
    pub(crate) const fn write(&self) -> &Py<Write> {
        &self.write
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, response_headers, exc_info=None))]
    fn __call__(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        response_headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Write>> {
        let (head, dropped) = head(status, response_headers)?;
        let in_error = exc_info.is_some();
        let started = self.exchange.with(py, |link| {
            for name in dropped {
                warn_dropped(link, name);
            }
            link.response.start(head, in_error)
        })?;
        match (started, exc_info) {
            (Ok(()), _) => Ok(self.write.clone_ref(py)),
            (Err(Refused::HeadSent), Some(exc_info)) => Err(raise_again(exc_info)),
            (Err(_), _) => Err(PyAssertionError::new_err(
                "start_response() was called a second time without exc_info",
            )),
        }
    }
}

#[pymethods]
impl Write {
    #[pyo3(signature = (data, /))]
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = chunk(data)?.as_bytes();
        if fork::in_a_child() {
            return Err(PyOSError::new_err("the response belongs to the parent process"));
        }
        if data.is_empty() {
            return Ok(());
        }
        let sent = gate::detached(py, || {
            let mut link = self.exchange.lock();
            let link = link.as_mut()?;
            if link.cancelled() || link.head(None).is_err() {
                return Some(Sent::Gone);
            }
            let sent = link.body(data);
            link.flush();
            Some(sent)
        });
        match sent {
            Some(Sent::Yes | Sent::Enough) => Ok(()),
            Some(Sent::Gone) => Err(PyBrokenPipeError::new_err("the client has gone")),
            None => Err(PyOSError::new_err("the request has ended")),
        }
    }
}

/// A chunk of a body.
pub(crate) fn chunk<'a, 'py>(data: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    data.cast::<PyBytes>().or_else(|_| {
        let kind = data.get_type().name()?;
        Err(PyTypeError::new_err(format!("a response body is made of bytes, not {kind}")))
    })
}

/// PEP 3333: "if exc_info is provided and the headers have been sent, raise it".
fn raise_again(exc_info: &Bound<'_, PyAny>) -> PyErr {
    let error = || {
        let value = exc_info.get_item(1)?;
        value.call_method1("with_traceback", (exc_info.get_item(2)?,))
    };
    error().map_or_else(|error| error, PyErr::from_value)
}

fn head(
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
) -> PyResult<(Head, Vec<&'static str>)> {
    let wrong = |error| PyValueError::new_err(format!("start_response(): {error}"));
    let (mut name_room, mut value_room) = (Room::new(), Room::new());
    let status = native(|| "the status".into(), status, &mut value_room)?;
    let mut head = Head::new(status).map_err(wrong)?;
    let mut dropped = Vec::new();
    let mut add = |index: usize, header: &Bound<'_, PyAny>| -> PyResult<()> {
        let Some(pair) = header.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2) else {
            return Err(PyTypeError::new_err(format!(
                "start_response(): header {index} is {}, not a tuple (name, value)",
                shown(header)
            )));
        };
        let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
        let what = || format!("the value of {}", shown(&name));
        let value = native(what, &value, &mut value_room)?;
        let what = || format!("the name of header {index}");
        let name = native(what, &name, &mut name_room)?;
        if let Taken::Dropped(name) = head.push(name, value).map_err(wrong)? {
            dropped.push(name);
        }
        Ok(())
    };
    if let Ok(list) = headers.cast::<PyList>() {
        list.iter().enumerate().try_for_each(|(index, header)| add(index, &header))?;
    } else if let Ok(tuple) = headers.cast::<PyTuple>() {
        tuple.iter().enumerate().try_for_each(|(index, header)| add(index, &header))?;
    } else {
        return Err(PyTypeError::new_err(format!(
            "start_response(): the headers must be a list of tuples, not {}",
            headers.get_type().name()?
        )));
    }
    Ok((head, dropped))
}

/// The bytes of a native string; `what` it is, for the error.
fn native<'r>(
    what: impl Fn() -> String,
    object: &Bound<'_, PyAny>,
    room: &'r mut Room,
) -> PyResult<&'r [u8]> {
    let Ok(text) = object.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "start_response(): {} must be a str, not {}",
            what(),
            shown(object)
        )));
    };
    room.encode(text).ok_or_else(|| {
        PyValueError::new_err(format!(
            "start_response(): {} has characters outside latin-1: {}",
            what(),
            shown(object)
        ))
    })
}

fn shown(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(
        |_| "an object without repr".into(),
        |repr| repr.to_string_lossy().chars().take(200).collect(),
    )
}

/// Once per name in the life of the worker.
fn warn_dropped(link: &mut Link, name: &'static str) {
    static WARNED: [(&str, AtomicBool); 9] = [
        ("Status", AtomicBool::new(false)),
        ("Connection", AtomicBool::new(false)),
        ("Keep-Alive", AtomicBool::new(false)),
        ("Proxy-Authenticate", AtomicBool::new(false)),
        ("Proxy-Authorization", AtomicBool::new(false)),
        ("TE", AtomicBool::new(false)),
        ("Trailers", AtomicBool::new(false)),
        ("Transfer-Encoding", AtomicBool::new(false)),
        ("Upgrade", AtomicBool::new(false)),
    ];
    let warned = WARNED.iter().find(|(known, _)| *known == name);
    if warned.is_some_and(|(_, warned)| !warned.swap(true, Ordering::Relaxed)) {
        let text = format!("the app sends the header {name}, which is not its to send; dropped");
        link.log(LogLevel::Warn, &text);
    }
}
