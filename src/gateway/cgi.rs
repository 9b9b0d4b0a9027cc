//! CGI (RFC 3875): one request in the environment, its body on standard input,
//! its answer to standard output.
//!
//! To the gateway it is a FastCGI connection as any other: two threads are the
//! web server at its other end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use bytes::BytesMut;
use cgi::Params;
use fastcgi_server::client::{self, Decoder, Event, Outcome};
use fastcgi_server::{Error, Role};

/// The one request's id.
const ID: u16 = 1;

/// How much is read at once, in bytes.
const READ: usize = 32 * 1024;

/// The answer of a script that has no app.
pub(crate) const FAILED: &[u8] = b"Status: 500 Internal Server Error\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n";

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Cgi {
    params: Params,
    body: File,
    answer: File,
}

impl Cgi {
    /// The request of this process: its environment, and in `fds` what its body
    /// is read from and its answer written to.
    ///
    /// # Errors
    /// When these are not two.
    pub fn here(fds: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut params = Params::new();
        for (name, value) in std::env::vars_os() {
            params.push(name.as_bytes(), value.as_bytes());
        }
        let fds = <[OwnedFd; 2]>::try_from(fds).ok().context("a descriptor is missing")?;
        let [body, answer] = fds.map(File::from);
        Ok(Self { params, body, answer })
    }

    /// Sends the request. Returns the gateway's end of the connection, and who
    /// is at the other.
    ///
    /// # Errors
    /// What the system reports: no descriptor or no thread is left.
    pub(super) fn begin(self) -> io::Result<(UnixStream, Client)> {
        let Self { params, body, answer } = self;
        let (ours, theirs) = UnixStream::pair()?;
        let sending = theirs.try_clone()?;
        let named = |name: &str| thread::Builder::new().name(name.into());
        named("flupd-cgi-in").spawn(move || {
            // When the connection is gone, so is who would read it.
            let _ = send(&params, body, &sending);
        })?;
        let answer = named("flupd-cgi-out").spawn(move || {
            let done = pass(&theirs, answer);
            // Who reads the answer no more has cancelled the request.
            let _ = theirs.shutdown(Shutdown::Both);
            done
        })?;
        Ok((ours, Client { answer }))
    }

    /// Answers that the script has no app.
    pub(super) fn refuse(mut self) {
        // A web server that has gone needs no answer.
        let _ = self.answer.write_all(FAILED);
    }
}

/// The web server's end of the connection.
#[derive(Debug)]
pub(super) struct Client {
    answer: JoinHandle<io::Result<()>>,
}

impl Client {
    /// Waits until the answer has been written.
    ///
    /// # Errors
    /// When it can't be, for another reason than that nobody reads it.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self.answer.join() {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("the answer can't be written to standard output")
            }
            _ => Ok(()),
        }
    }
}

/// Sends params and body.
fn send(params: &Params, body: File, mut to: &UnixStream) -> io::Result<()> {
    let mut out = BytesMut::new();
    client::begin(&mut out, ID, Role::Responder, false);
    client::params(&mut out, ID, params);
    let mut body = body.take(length(params));
    let mut buffer = vec![0; READ];
    loop {
        to.write_all(&out)?;
        out.clear();
        let read = match body.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The request ends short of its length, and is refused for it.
            Err(_) => 0,
        };
        match buffer.get(..read) {
            None | Some([]) => {
                client::stdin_end(&mut out, ID);
                return to.write_all(&out);
            }
            Some(bytes) => client::stdin(&mut out, ID, bytes),
        }
    }
}

/// How much of standard input is the body: nothing past CONTENT_LENGTH (RFC 3875,
/// section 4.2), and nothing without it. Only a body that came in chunks ends
/// where standard input does.
fn length(params: &Params) -> u64 {
    let length = params.get(b"CONTENT_LENGTH").filter(|length| !length.is_empty());
    match length {
        Some(length) => std::str::from_utf8(length).ok().and_then(|l| l.parse().ok()).unwrap_or(0),
        None if params.get(b"HTTP_TRANSFER_ENCODING").is_some() => u64::MAX,
        None => 0,
    }
}

/// Passes the answer on as it comes.
fn pass(mut from: &UnixStream, mut answer: File) -> io::Result<()> {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut bytes = buffer.get(..read).unwrap_or_default();
        loop {
            let (used, outcome) = match decoder.decode(bytes) {
                Ok(decoded) => decoded,
                // So an answer ends that was cut. CGI has no word for that.
                Err(Error::Version { got: 0 }) => return Ok(()),
                Err(error) => return Err(io::Error::other(error)),
            };
            bytes = bytes.get(used..).unwrap_or_default();
            match outcome {
                Outcome::NeedMore => break,
                Outcome::Event(Event::Stdout { bytes, .. }) => answer.write_all(bytes)?,
                // Error text is in the log already, which is standard error.
                Outcome::Event(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_length_that_is_told() {
        let told = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            length(&pairs.collect())
        };
        assert_eq!(told(&[("CONTENT_LENGTH", "12")]), 12);
        assert_eq!(told(&[("CONTENT_LENGTH", "")]), 0);
        assert_eq!(told(&[("CONTENT_LENGTH", "-1")]), 0);
        assert_eq!(told(&[]), 0);
        let chunked = ("HTTP_TRANSFER_ENCODING", "chunked");
        assert_eq!(told(&[chunked]), u64::MAX);
        assert_eq!(told(&[chunked, ("CONTENT_LENGTH", "3")]), 3);
    }
}
