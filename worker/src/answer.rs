//! Sends what an app has returned: a list of bytes, a file, or any iterable.

use std::io;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple};

use crate::exchange::{Exchange, Link, Sent};
use crate::file_wrapper::{FileWrapper, PlainFile};
use crate::fork::leave_if_child;
use crate::gate;
use crate::start_response::chunk;

/// What is queued without letting go of the interpreter, in bytes, where there is
/// room for it: this is copied sooner than the interpreter is let go of and taken
/// again by several threads in turn.
const SMALL: usize = 128 * 1024;

/// Why an answer ended before its end.
pub(crate) enum Stop {
    /// The app raised.
    Raised(PyErr),
    /// Nobody waits for the rest.
    Gone,
    /// The body began before `start_response` was called.
    NotStarted,
    /// The file to send could not be read.
    File(io::Error),
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// Sends head and body, as far as there is somebody to send them to. Does not
/// close what the app returned.
pub(crate) fn send(
    py: Python<'_>,
    exchange: &Exchange,
    result: &Bound<'_, PyAny>,
) -> Result<(), Stop> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        if list.len() == 1 {
            return send_parts(py, exchange, &[chunk(&list.get_item(0)?)?.as_bytes()]);
        }
        return send_sequence(py, exchange, list.iter());
    }
    if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        if tuple.len() == 1 {
            let only = tuple.get_borrowed_item(0)?;
            return send_parts(py, exchange, &[chunk(&only)?.as_bytes()]);
        }
        return send_sequence(py, exchange, tuple.iter());
    }
    if let Ok(wrapper) = result.cast_exact::<FileWrapper>()
        && let Some(file) = wrapper.get().plain_file(py)?
    {
        return gate::detached(py, || send_file(exchange, file));
    }
    send_iterable(py, exchange, result)
}

/// All chunks are there: the length is known, and they go out together.
fn send_sequence<'py>(
    py: Python<'py>,
    exchange: &Exchange,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
) -> Result<(), Stop> {
    let chunks = items.map(|item| chunk(&item).cloned()).collect::<PyResult<Vec<_>>>()?;
    let parts: Vec<&[u8]> =
        chunks.iter().map(|chunk: &Bound<'_, PyBytes>| chunk.as_bytes()).collect();
    send_parts(py, exchange, &parts)
}

fn send_parts(py: Python<'_>, exchange: &Exchange, parts: &[&[u8]]) -> Result<(), Stop> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let queue = |link: &mut Link| {
        link.head(Some(total as u64)).map_err(|_| Stop::NotStarted)?;
        for part in parts {
            if link.body(part) != Sent::Yes {
                break;
            }
        }
        Ok(())
    };
    // A frame's header and its padding.
    let framed = total.saturating_add(parts.len() * 16);
    if framed <= SMALL {
        let queued = exchange.with(py, |link| link.has_room(framed).then(|| queue(link)))?;
        if let Some(queued) = queued {
            return queued;
        }
    }
    gate::detached(py, || locked(exchange, queue))
}

/// `iter()`, with clear words for what is returned by mistake most often.
fn iterate<'py>(result: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    let wrong = |hint: &str| {
        let kind = result.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "the app returned {kind}, not an iterable of bytes{hint}"
        )))
    };
    if result.is_none() {
        return wrong("");
    }
    if result.is_instance_of::<PyBytes>() || result.is_instance_of::<PyString>() {
        return wrong(": return [body]");
    }
    result.try_iter()
}

/// Each chunk goes out as it comes.
fn send_iterable(
    py: Python<'_>,
    exchange: &Exchange,
    iterable: &Bound<'_, PyAny>,
) -> Result<(), Stop> {
    let chunks = iterate(iterable);
    leave_if_child(py, &chunks);
    let mut chunks = chunks?;
    loop {
        let next = chunks.next().transpose();
        leave_if_child(py, &next);
        let Some(data) = next? else { return Ok(()) };
        let data = chunk(&data)?.as_bytes();
        let queue = |link: &mut Link| {
            if !data.is_empty() {
                link.head(None).map_err(|_| Stop::NotStarted)?;
                let sent = link.body(data);
                link.flush();
                if sent != Sent::Yes {
                    return Ok(sent);
                }
            }
            Ok(wanted(link))
        };
        let mut queued = None;
        if data.len() <= SMALL && !gate::is_crowded() {
            queued = exchange.with(py, |link| link.has_room(data.len()).then(|| queue(link)))?;
        }
        let sent = match queued {
            Some(sent) => sent?,
            None => gate::detached(py, || locked(exchange, queue))?,
        };
        if !go_on(sent)? {
            return Ok(());
        }
    }
}

/// Reads and sends without Python.
fn send_file(exchange: &Exchange, mut file: PlainFile) -> Result<(), Stop> {
    let mut buffer = Vec::new();
    locked(exchange, |link| link.head(Some(file.length)).map_err(|_| Stop::NotStarted))?;
    loop {
        let sent = locked(exchange, |link| {
            if link.response.fulfilled() || link.response.body_left_out() {
                return Ok(Sent::Enough);
            }
            let block = file.read(&mut buffer).map_err(Stop::File)?;
            if block.is_empty() {
                return Ok(Sent::Enough);
            }
            let sent = link.body(block);
            link.flush();
            Ok(if sent == Sent::Yes { wanted(link) } else { sent })
        })?;
        if !go_on(sent)? {
            return Ok(());
        }
    }
}

/// Whether anybody waits for what follows. An app that has fulfilled its
/// Content-Length is only asked whether that was all.
fn wanted(link: &mut Link) -> Sent {
    if !link.response.fulfilled() && link.cancelled() { Sent::Gone } else { Sent::Yes }
}

const fn go_on(sent: Sent) -> Result<bool, Stop> {
    match sent {
        Sent::Yes => Ok(true),
        Sent::Enough => Ok(false),
        Sent::Gone => Err(Stop::Gone),
    }
}

fn locked<T>(
    exchange: &Exchange,
    work: impl FnOnce(&mut Link) -> Result<T, Stop>,
) -> Result<T, Stop> {
    exchange.lock().as_mut().map_or(Err(Stop::Gone), work)
}
