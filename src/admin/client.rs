//! Gives an order to a flupd that runs, and waits for its outcome.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Asked, MAX_OUTCOME, Order, Outcome, VERSION};

/// Why an order did not arrive, or its outcome did not.
#[derive(Debug, Error)]
pub enum AskError {
    /// There is no socket.
    #[error(
        "no flupd has its control socket at {}; say where it is with --control or --config, \
         or enter the directory in which flupd was started",
        .0.display()
    )]
    NoSocket(PathBuf),
    /// Nobody listens on it.
    #[error("no flupd listens on {} any more: it has ended without removing it", .0.display())]
    NobodyListens(PathBuf),
    /// It is somebody else's.
    #[error(
        "{} belongs to another user: ask as the user that started flupd, as root, or as a member of \
         --control-group",
        .0.display()
    )]
    Denied(PathBuf),
    /// Anything else.
    #[error("can't speak with flupd over {}: {error}", path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// It has ended meanwhile.
    #[error("flupd has ended before it was done")]
    Ended,
}

/// Gives this order to the flupd that listens at `path`. [`Order::Stop`] is done
/// when that has ended.
///
/// # Errors
/// When it can't be asked, or does not answer.
pub fn ask(path: &Path, order: Order) -> Result<Outcome, AskError> {
    loop {
        match ask_once(path, order.clone())? {
            Outcome::AskAgain => {}
            outcome => return Ok(outcome),
        }
    }
}

fn ask_once(path: &Path, order: Order) -> Result<Outcome, AskError> {
    let failed = |error| AskError::Failed { path: path.to_owned(), error };
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AskError::NoSocket(path.to_owned()),
        io::ErrorKind::ConnectionRefused => AskError::NobodyListens(path.to_owned()),
        io::ErrorKind::PermissionDenied => AskError::Denied(path.to_owned()),
        _ => failed(error),
    })?;
    let stop = order == Order::Stop;
    let mut line = serde_json::to_vec(&Asked { version: VERSION, order })
        .map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    let mut answer = String::new();
    match BufReader::new(stream.take(MAX_OUTCOME)).read_line(&mut answer) {
        Ok(0) if stop => Ok(Outcome::Done),
        Ok(0) => Err(AskError::Ended),
        Ok(_) => serde_json::from_str(&answer).map_err(|error| failed(error.into())),
        // An end in the middle of things looks so, too.
        Err(error) if stop && error.kind() == io::ErrorKind::ConnectionReset => Ok(Outcome::Done),
        Err(error) => Err(failed(error)),
    }
}
