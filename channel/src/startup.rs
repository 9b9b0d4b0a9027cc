//! What a worker is told at its start, and what it says back, over its packet
//! socket to the supervisor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::packet;

/// The descriptor on which a worker finds its socket to the supervisor.
pub const STATUS_FD: i32 = 3;

/// The longest error text that a worker sends, in bytes.
const MAX_ERROR: usize = 60 * 1024;

/// What a worker has to run. The worker's ends of its ports travel with it, one
/// per app thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// The worker's number, unique in the life of the supervisor.
    pub worker: u64,
    /// The app as the user named it.
    pub app: String,
    /// The directory to enter before the import.
    pub chdir: Option<PathBuf>,
    /// Directories to put in front of `sys.path`, in order.
    pub path: Vec<PathBuf>,
    /// Whether other worker processes run the same app (`wsgi.multiprocess`).
    pub multiprocess: bool,
}

/// What a worker says of its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// The app is imported; requests are welcome.
    Ready {
        /// The interpreter's version, such as `3.11.7`.
        python: String,
        /// What the app's name was resolved to, such as `site.wsgi:application`.
        app: String,
    },
    /// The app can't run.
    Failed {
        /// Why: a sentence, followed by the traceback if there is one.
        error: String,
    },
}

/// Sends a worker its configuration and ports.
///
/// # Errors
/// What [`packet::send`] reports.
pub fn send_config(
    socket: impl AsFd,
    config: &WorkerConfig,
    ports: &[BorrowedFd<'_>],
) -> io::Result<()> {
    packet::send(socket, &serde_json::to_vec(config)?, ports)
}

/// Receives the configuration and ports; `None` when the supervisor has gone.
///
/// # Errors
/// What [`packet::receive`] reports; `InvalidData` if it is not a configuration.
pub fn receive_config(socket: impl AsFd) -> io::Result<Option<(WorkerConfig, Vec<OwnedFd>)>> {
    let Some((message, ports)) = packet::receive(socket)? else { return Ok(None) };
    Ok(Some((serde_json::from_slice(&message)?, ports)))
}

/// Tells the supervisor how the start went.
///
/// # Errors
/// What [`packet::send`] reports.
pub fn send_status(socket: impl AsFd, status: &WorkerStatus) -> io::Result<()> {
    let mut status = status.clone();
    if let WorkerStatus::Failed { error } = &mut status
        && error.len() > MAX_ERROR
    {
        // The end of a traceback says most.
        let cut = error.ceil_char_boundary(error.len() - MAX_ERROR / 2);
        *error = format!("[… {cut} bytes left out]\n{}", &error[cut..]);
    }
    packet::send(socket, &serde_json::to_vec(&status)?, &[])
}

/// Decodes one message of a worker.
///
/// # Errors
/// `InvalidData` if it is not a status.
pub fn decode_status(message: &[u8]) -> io::Result<WorkerStatus> {
    Ok(serde_json::from_slice(message)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_traceback_keeps_its_end() {
        let (a, b) = packet::pair().unwrap();
        let error = "é".repeat(100_000) + "ValueError: no";
        send_status(&a, &WorkerStatus::Failed { error }).unwrap();
        let (message, _) = packet::receive(&b).unwrap().unwrap();
        let WorkerStatus::Failed { error } = decode_status(&message).unwrap() else { panic!() };
        assert!(error.starts_with("[… ") && error.ends_with("ValueError: no"));
    }

    #[test]
    fn the_configuration_travels_with_its_ports() {
        let (a, b) = packet::pair().unwrap();
        let (gateway, worker) = packet::pair().unwrap();
        let config = WorkerConfig {
            worker: 7,
            app: "app:application".into(),
            chdir: None,
            path: vec!["lib".into()],
            multiprocess: true,
        };
        send_config(&a, &config, &[worker.as_fd()]).unwrap();
        let (got, ports) = receive_config(&b).unwrap().unwrap();
        assert_eq!((got, ports.len()), (config, 1));
        drop(gateway);
    }
}
