//! One request's way back to the gateway, shared by all that the app was given
//! for it: `start_response`, `write` and `wsgi.errors`.
//!
//! The port is in here only while the request runs. Whoever keeps one of these
//! objects longer finds it gone, and can't reach the next request's answer.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use flupd_channel::worker::Port;
use flupd_channel::{ChannelError, LogLevel};
use memchr::memrchr;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::gate;
use crate::response::{NotStarted, Response};

/// The longest line of error text that is kept waiting for its end, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// A request that is being answered, or has been.
pub(crate) struct Exchange {
    link: Mutex<Option<Link>>,
}

/// What the exchange holds while the request runs.
pub(crate) struct Link {
    pub(crate) port: Box<Port>,
    pub(crate) response: Response,
    /// Nobody waits for the answer: the client or the gateway has gone.
    pub(crate) gone: bool,
    /// The app wants to be told when the client goes.
    pub(crate) watched: bool,
    /// Error text whose line has not ended.
    line: Vec<u8>,
}

/// What came of sending a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way; more may follow.
    Yes,
    /// Nothing that follows can go out: the body is left out, or longer than
    /// its Content-Length.
    Enough,
    /// Nobody waits for it.
    Gone,
}

impl Exchange {
    /// Of no request yet.
    pub(crate) const fn new() -> Self {
        Self { link: Mutex::new(None) }
    }

    /// Begins a request. Only while nobody else has this exchange.
    pub(crate) fn begin(&self, port: Box<Port>, response: Response) {
        *self.lock() = Some(Link { port, response, gone: false, watched: false, line: Vec::new() });
    }

    /// Access to the link; `None` in it once the request has ended.
    ///
    /// Another thread of the app may hold it while it sends, so this is for
    /// code that is detached from the interpreter.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is short: lets go of the interpreter only if another thread
    /// holds the link.
    ///
    /// # Errors
    /// `OSError` once the request has ended.
    pub(crate) fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Link) -> T + Send,
    ) -> PyResult<T> {
        self.try_with(py, work).ok_or_else(|| PyOSError::new_err("the request has ended"))
    }

    /// As [`Exchange::with`]; `None` once the request has ended.
    pub(crate) fn try_with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Link) -> T + Send,
    ) -> Option<T> {
        match self.try_lock() {
            Some(mut link) => link.as_mut().map(work),
            None => gate::detached(py, || self.lock().as_mut().map(work)),
        }
    }

    /// Ends the request for whoever still holds it.
    pub(crate) fn take(&self, py: Python<'_>) -> Option<Link> {
        match self.try_lock() {
            Some(mut link) => link.take(),
            None => gate::detached(py, || self.lock().take()),
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Link>>> {
        match self.link.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(link)) => Some(link.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Error text of the app; to the process's stderr once the request has ended.
    pub(crate) fn errors(&self, text: &[u8]) {
        match &mut *self.lock() {
            Some(link) => link.errors(text),
            None => to_stderr(text),
        }
    }
}

impl Link {
    /// Queues the head, if it has not gone out yet. `known` is the body's length.
    pub(crate) fn head(&mut self, known: Option<u64>) -> Result<(), NotStarted> {
        if let Some(head) = self.response.commit(known)? {
            let whole = self.response.fulfilled() || self.response.body_left_out();
            let queued = self.port.head(&head, whole);
            self.note(queued);
        }
        Ok(())
    }

    /// Whether a body of this many bytes in all, and the head before it, can be
    /// queued without waiting.
    pub(crate) fn has_room(&mut self, body: usize) -> bool {
        self.port.has_room(self.response.head_size().saturating_add(body))
    }

    /// Queues a chunk of the body, after the head. Does not flush.
    pub(crate) fn body(&mut self, chunk: &[u8]) -> Sent {
        let share = self.response.admit(chunk.len());
        if let Some(part @ [_, ..]) = chunk.get(..share.bytes) {
            let queued = self.port.body(part, self.response.fulfilled());
            self.note(queued);
        }
        if share.over {
            self.log(LogLevel::Warn, "the body is longer than its Content-Length; the rest is cut");
        }
        if self.gone {
            Sent::Gone
        } else if share.over || self.response.body_left_out() {
            Sent::Enough
        } else {
            Sent::Yes
        }
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) {
        self.port.flush();
    }

    /// A line for flupd's log.
    pub(crate) fn log(&mut self, level: LogLevel, text: &str) {
        let queued = self.port.log(level, text);
        self.note(queued);
    }

    /// Error text: whole lines go out at once, so that an app's last words
    /// before a crash are heard; the rest waits.
    pub(crate) fn errors(&mut self, text: &[u8]) {
        self.line.extend_from_slice(text);
        let whole = memrchr(b'\n', &self.line).map_or(0, |at| at + 1);
        if whole > 0 {
            let rest = self.line.split_off(whole);
            let lines = std::mem::replace(&mut self.line, rest);
            let queued = self.port.stderr(&lines);
            self.note(queued);
            self.flush();
        }
        if self.line.len() > LONGEST_LINE {
            self.end_line();
        }
    }

    /// Sends the last line of error text, ended.
    pub(crate) fn end_line(&mut self) {
        if !self.line.is_empty() {
            let mut line = std::mem::take(&mut self.line);
            line.push(b'\n');
            let queued = self.port.stderr(&line);
            self.note(queued);
        }
    }

    /// Whether error text waits for the end of its line.
    pub(crate) const fn in_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whether the client has gone. Does not wait.
    pub(crate) fn cancelled(&mut self) -> bool {
        self.gone = self.gone || self.port.cancelled();
        self.gone
    }

    /// As [`Link::cancelled`], for an app that asks. Where the gateway runs on this
    /// very thread, it looks at the connection.
    pub(crate) fn look(&mut self) -> bool {
        self.gone = self.gone || self.port.look();
        self.gone
    }

    /// A port that fails once is over: the gateway has gone, and with it the client.
    fn note(&mut self, result: Result<(), ChannelError>) {
        self.gone |= result.is_err();
    }
}

/// Text of nobody's request.
pub(crate) fn to_stderr(text: &[u8]) {
    // Where stderr is closed there is nobody left to tell.
    let _ = std::io::stderr().write_all(text);
}
