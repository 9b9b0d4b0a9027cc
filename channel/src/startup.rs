//! What a worker or a zygote is told at its start, and what it says back, over
//! its packet socket to the supervisor.
//!
//! A zygote imports the app and forks workers. Each of them has a socket of its
//! own to the supervisor, so that it is told from the others.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fingerprint::FINGERPRINT;
use crate::packet;

/// The descriptor on which a worker finds its socket to the supervisor.
pub const STATUS_FD: i32 = 3;

/// The longest error text that a worker sends, in bytes.
const MAX_ERROR: usize = 60 * 1024;

/// The first message to a process that the supervisor has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Run the app. What [`crate::create`] made for the worker travels with it.
    Serve(WorkerConfig),
    /// Import the app once, and fork workers that run it.
    Preload(ZygoteConfig),
    /// Run the app, and serve connections in the same process. The listening
    /// sockets travel with it.
    Solo {
        /// The app.
        worker: WorkerConfig,
        /// The gateway's configuration, as JSON.
        gateway: String,
    },
    /// As [`Task::Solo`], without a supervisor: a web server has started this
    /// process. With it travels the listening socket, or what the web server
    /// reads an answer from.
    Alone {
        /// The app.
        worker: WorkerConfig,
        /// The gateway's configuration, as JSON.
        gateway: String,
        /// Whether there is one request, in the environment (CGI): its body and
        /// its answer travel with the task in the place of a listening socket.
        cgi: bool,
        /// How long running requests may take after a signal to stop.
        grace: Duration,
        /// Whether a server of the script's own may have the listening socket.
        lends: bool,
        /// That there is no listening socket, in words for who has started it by
        /// hand: only a server with an address of the script's own can serve.
        nowhere: Option<String>,
    },
}

/// What a worker has to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// The worker's number, unique in the life of the supervisor.
    pub worker: u64,
    /// The app as the user named it.
    pub app: String,
    /// If `app` is the path of a script that is the program: its `sys.argv`.
    pub script: Option<Vec<String>>,
    /// The directory to enter before the import.
    pub chdir: Option<PathBuf>,
    /// Directories to put in front of `sys.path`, in order.
    pub path: Vec<PathBuf>,
    /// Whether other worker processes run the same app (`wsgi.multiprocess`).
    pub multiprocess: bool,
}

/// What a zygote has to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZygoteConfig {
    /// The app as the user named it.
    pub app: String,
    /// If `app` is the path of a script that is the program: its `sys.argv`.
    pub script: Option<Vec<String>>,
    /// The directory to enter before the import.
    pub chdir: Option<PathBuf>,
    /// Directories to put in front of `sys.path`, in order.
    pub path: Vec<PathBuf>,
    /// Whether there will be several workers (`wsgi.multiprocess`).
    pub multiprocess: bool,
}

/// Tells a zygote to fork a worker. With it travel the worker's socket to the
/// supervisor, its lifeline (a pipe's end: the worker is killed when the other
/// one closes), its standard output and error if they are to be others than the
/// zygote's, and what [`crate::create`] made for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The worker's number, unique in the life of the supervisor.
    pub worker: u64,
    /// Whether standard output and error of its own travel with this.
    pub streams: bool,
}

/// What a zygote says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZygoteStatus {
    /// The app is imported; workers can be forked.
    Ready {
        /// The interpreter's version, such as `3.11.7`.
        python: String,
        /// What the app's name was resolved to, such as `site.wsgi:application`.
        app: String,
        /// The threads that the import has started. They don't exist in workers.
        threads: Vec<String>,
    },
    /// The app can't run.
    Failed {
        /// Why: a sentence, followed by the traceback if there is one.
        error: String,
    },
    /// A worker has ended.
    Exited {
        /// Its number.
        worker: u64,
        /// The status as `waitpid(2)` has it.
        status: i32,
    },
}

/// What a worker says of its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// Forked by a zygote. A pidfd of the worker travels with it.
    Forked {
        /// The process id.
        pid: u32,
    },
    /// The zygote could not fork; it says so in the worker's place.
    Unforked {
        /// Why.
        error: String,
    },
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

/// Sends a process its task, and a worker its descriptors.
///
/// # Errors
/// What [`packet::send`] reports.
pub fn send_task(socket: impl AsFd, task: &Task, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let message = Message { channel: FINGERPRINT, task };
    packet::send(socket, &serde_json::to_vec(&message)?, fds)
}

/// Receives the task and what came with it; `None` when the supervisor has gone, or
/// is of another build than this library. Then it has been told so.
///
/// # Errors
/// What [`packet::receive`] reports; `InvalidData` if it is not a task.
pub fn receive_task(socket: impl AsFd) -> io::Result<Option<(Task, Vec<OwnedFd>)>> {
    let Some((message, fds)) = packet::receive(&socket)? else { return Ok(None) };
    // The task itself may be something else there.
    let Build { channel } = serde_json::from_slice(&message)?;
    if channel != FINGERPRINT {
        let error = STRANGER.to_owned();
        send_status(socket, &WorkerStatus::Failed { error }, &[])?;
        return Ok(None);
    }
    let Message { task, .. } = serde_json::from_slice(&message)?;
    Ok(Some((task, fds)))
}

/// Why a worker of another build does not start.
const STRANGER: &str = "flupd's library on disk belongs to another build of flupd than the one \
                        that runs, which was started before: have the new one take over with \
                        `flupd upgrade`, or start flupd anew";

#[derive(Serialize, Deserialize)]
struct Message<T> {
    channel: u64,
    task: T,
}

#[derive(Deserialize)]
struct Build {
    channel: u64,
}

/// Receives what a zygote is to do next; `None` when the supervisor has gone.
///
/// # Errors
/// What [`packet::receive`] reports; `InvalidData` if it is not an order.
pub fn receive_fork(socket: impl AsFd) -> io::Result<Option<(Fork, Vec<OwnedFd>)>> {
    decoded(packet::receive(socket)?)
}

/// Tells the supervisor how the start of a worker went.
///
/// # Errors
/// What [`packet::send`] reports.
pub fn send_status(
    socket: impl AsFd,
    status: &WorkerStatus,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut status = status.clone();
    if let WorkerStatus::Failed { error } = &mut status {
        cut(error);
    }
    packet::send(socket, &serde_json::to_vec(&status)?, fds)
}

/// Tells the supervisor what has become of a zygote or a worker of it.
///
/// # Errors
/// What [`packet::send`] reports.
pub fn send_zygote_status(socket: impl AsFd, status: &ZygoteStatus) -> io::Result<()> {
    let mut status = status.clone();
    if let ZygoteStatus::Failed { error } = &mut status {
        cut(error);
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

/// Decodes one message of a zygote.
///
/// # Errors
/// `InvalidData` if it is not a status.
pub fn decode_zygote_status(message: &[u8]) -> io::Result<ZygoteStatus> {
    Ok(serde_json::from_slice(message)?)
}

fn decoded<M: for<'de> Deserialize<'de>>(
    packet: Option<(Vec<u8>, Vec<OwnedFd>)>,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let Some((message, fds)) = packet else { return Ok(None) };
    Ok(Some((serde_json::from_slice(&message)?, fds)))
}

/// Of a long error text the end stays: of a traceback that says most.
fn cut(error: &mut String) {
    if error.len() > MAX_ERROR {
        let cut = error.ceil_char_boundary(error.len() - MAX_ERROR / 2);
        *error = format!("[… {cut} bytes left out]\n{}", &error[cut..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_of_another_build_is_told_so() {
        let (ours, theirs) = packet::pair().unwrap();
        packet::send(&ours, br#"{"channel":7,"task":{"Newer":1}}"#, &[]).unwrap();
        assert!(receive_task(&theirs).unwrap().is_none());
        let (said, _) = packet::receive(&ours).unwrap().unwrap();
        let Ok(WorkerStatus::Failed { error }) = decode_status(&said) else { panic!("{said:?}") };
        assert!(error.contains("flupd upgrade"), "{error}");
    }

    #[test]
    fn a_long_traceback_keeps_its_end() {
        let (a, b) = packet::pair().unwrap();
        let error = "é".repeat(100_000) + "ValueError: no";
        send_status(&a, &WorkerStatus::Failed { error: error.clone() }, &[]).unwrap();
        send_zygote_status(&a, &ZygoteStatus::Failed { error }).unwrap();
        let (message, _) = packet::receive(&b).unwrap().unwrap();
        let WorkerStatus::Failed { error } = decode_status(&message).unwrap() else { panic!() };
        assert!(error.starts_with("[… ") && error.ends_with("ValueError: no"));
        let (message, _) = packet::receive(&b).unwrap().unwrap();
        let status = decode_zygote_status(&message).unwrap();
        assert_eq!(status, ZygoteStatus::Failed { error });
    }

    #[test]
    fn the_configuration_travels_with_its_ports() {
        let (a, b) = packet::pair().unwrap();
        let (gateway, worker) = packet::pair().unwrap();
        let config = WorkerConfig {
            worker: 7,
            app: "app:application".into(),
            script: None,
            chdir: None,
            path: vec!["lib".into()],
            multiprocess: true,
        };
        let task = Task::Serve(config);
        send_task(&a, &task, &[worker.as_fd()]).unwrap();
        let (got, ports) = receive_task(&b).unwrap().unwrap();
        assert_eq!((got, ports.len()), (task, 1));
        drop(gateway);
    }

    #[test]
    fn an_order_to_fork_takes_as_much_as_the_largest_worker_needs() {
        let (a, b) = packet::pair().unwrap();
        let bell = crate::bell().unwrap();
        let ends = crate::create(crate::MAX_THREADS, &bell).unwrap().worker;
        let mut fds: Vec<_> = ends.iter().map(AsFd::as_fd).collect();
        fds.extend([(); 4].map(|()| bell.as_fd()));
        let fork = Fork { worker: 7, streams: true };
        packet::send(&a, &serde_json::to_vec(&fork).unwrap(), &fds).unwrap();
        let (got, received) = receive_fork(&b).unwrap().unwrap();
        assert_eq!((got, received.len()), (fork, fds.len()));
    }
}
