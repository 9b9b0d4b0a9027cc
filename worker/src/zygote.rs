//! The zygote: imports the app once, on one thread, and forks workers from it.
//!
//! Forking takes a millisecond or two where a fresh start takes as long as the
//! import, and what the import has put in memory is shared by all workers.
//! Threads are started only after the fork: others do not live through it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use flupd_channel::startup::{
    Fork, WorkerStatus, ZygoteStatus, receive_fork, send_status, send_zygote_status,
};
use pyo3::prelude::*;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, setpgid, waitpid,
};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use crate::exchange::to_stderr;
use crate::load::App;
use crate::signals::{Signals, Waited};
use crate::{failure, fork, gate, leaving, lifeline, startup};

/// A worker that was just forked.
pub(crate) struct Newborn {
    pub(crate) worker: u64,
    pub(crate) app: App,
    /// Its socket to the supervisor.
    pub(crate) socket: OwnedFd,
    /// Its ends of the channel to the gateway.
    pub(crate) ends: Vec<OwnedFd>,
}

/// Forks a worker at each order. Returns in the workers only, or `None` if there
/// is no app: the zygote itself ends in here.
pub(crate) fn run(
    py: Python<'_>,
    socket: OwnedFd,
    app: Result<App, String>,
) -> PyResult<Option<Newborn>> {
    let app = match app {
        Ok(app) => app,
        Err(error) => {
            py.detach(|| send_zygote_status(&socket, &ZygoteStatus::Failed { error }))?;
            return Ok(None);
        }
    };
    settle(py)?;
    let python = startup::python_version();
    let ready = ZygoteStatus::Ready { python, app: app.name.clone(), threads: threads(py)? };
    let signals = Signals::new(py)?;
    py.detach(|| send_zygote_status(&socket, &ready))?;
    let mut zygote = Zygote { socket, signals, children: Vec::new() };
    let (order, fds) = zygote.serve(py)?;
    // This is a worker now. What is the zygote's is not its.
    let Zygote { socket, signals, children } = zygote;
    drop((socket, children));
    signals.release(py)?;
    born(order, fds, app).map(Some).map_err(Into::into)
}

/// Puts all that the import has left beyond the garbage collector, which would
/// write to it, and so make each worker's copy its own.
fn settle(py: Python<'_>) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze")?;
    Ok(())
}

/// The threads that run beside this one, by name.
fn threads(py: Python<'_>) -> PyResult<Vec<String>> {
    let threading = py.import("threading")?;
    let this = threading.call_method0("current_thread")?;
    let mut names = Vec::new();
    for thread in threading.call_method0("enumerate")?.try_iter()? {
        let thread = thread?;
        if !thread.is(&this) {
            names.push(failure::lossy(&thread.getattr("name")?));
        }
    }
    // One of them is this thread.
    let all = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if let Some(others @ 1..) = all.checked_sub(names.len() + 1) {
        names.push(format!("{others} not of Python's threading"));
    }
    Ok(names)
}

/// Text that the app has printed is written once, not by each worker.
fn flush(py: Python<'_>) {
    for name in ["stdout", "stderr"] {
        // An app may have put anything in its place.
        let stream = py.import("sys").and_then(|sys| sys.getattr(name));
        let _ = stream.and_then(|stream| stream.call_method0("flush"));
    }
}

struct Zygote {
    /// To the supervisor.
    socket: OwnedFd,
    signals: Signals,
    children: Vec<Child>,
}

struct Child {
    worker: u64,
    pid: Pid,
    /// Readable when it has ended.
    pidfd: OwnedFd,
}

impl Zygote {
    /// Forks and buries workers. Returns in each worker, with what it was forked
    /// for; the zygote ends in here.
    fn serve(&mut self, py: Python<'_>) -> io::Result<(Fork, Vec<OwnedFd>)> {
        loop {
            match self.wait(py) {
                Waited::Signal => self.handle_signals(py),
                Waited::Ready(0) => match py.detach(|| receive_fork(&self.socket)) {
                    Ok(Some((order, fds))) => {
                        if self.fork(py, &order, &fds) {
                            return Ok((order, fds));
                        }
                    }
                    // The supervisor sees that this worker's socket is closed.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        complain(&format!("an order can't be understood: {error}"));
                    }
                    // The supervisor has gone. What the app has registered to do
                    // at its end is for the workers, which may still run.
                    Ok(None) | Err(_) => leave(py, 0),
                },
                Waited::Ready(place) => {
                    let Child { worker, pid, .. } = self.children.swap_remove(place - 1);
                    self.bury(worker, pid);
                }
            }
        }
    }

    fn wait(&self, py: Python<'_>) -> Waited {
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.socket.as_fd()];
        fds.extend(self.children.iter().map(|child| child.pidfd.as_fd()));
        gate::detached(py, || self.signals.wait(&fds))
    }

    /// Whether this is the worker now.
    fn fork(&mut self, py: Python<'_>, order: &Fork, fds: &[OwnedFd]) -> bool {
        flush(py);
        let worker = order.worker;
        let pid = match fork::fork(py) {
            Ok(None) => return true,
            Ok(Some(pid)) => pid,
            Err(error) => {
                let error = format!("it can't be forked: {error}");
                if let Some(socket) = fds.first() {
                    let _ = send_status(socket, &WorkerStatus::Unforked { error }, &[]);
                }
                return false;
            }
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => self.children.push(Child { worker, pid, pidfd }),
            // Nobody would see its end: it is better started again.
            Err(error) => {
                complain(&format!("worker {worker} can't be watched and is ended: {error}"));
                let _ = kill_process(pid, Signal::KILL);
                self.bury(worker, pid);
            }
        }
        false
    }

    /// Reports a child that has ended.
    fn bury(&self, worker: u64, pid: Pid) {
        if let Ok(Some((_, status))) = waitpid(Some(pid), WaitOptions::empty()) {
            let exited = ZygoteStatus::Exited { worker, status: status.as_raw() };
            // It fails when the supervisor has gone, which is seen soon.
            let _ = send_zygote_status(&self.socket, &exited);
        }
    }

    fn handle_signals(&self, py: Python<'_>) {
        let Err(error) = self.signals.handle(py) else { return };
        if error.is_instance_of::<pyo3::exceptions::PySystemExit>(py) {
            leave(py, leaving::exit_code(py, &error));
        }
        complain(&format!("a signal handler failed\n{}", failure::traceback(py, &error)));
    }
}

fn leave(py: Python<'_>, code: i32) -> ! {
    flush(py);
    fork::leave(code)
}

fn complain(text: &str) {
    to_stderr(format!("flupd zygote: {text}\n").as_bytes());
}

/// Makes the process a worker like one that was started by itself, and says so.
fn born(order: Fork, mut fds: Vec<OwnedFd>, app: App) -> io::Result<Newborn> {
    let before_ends = if order.streams { 4 } else { 2 };
    if fds.len() < before_ends {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a descriptor is missing"));
    }
    let ends = fds.split_off(before_ends);
    if let [stdout, stderr] = &fds.split_off(2)[..] {
        dup2_stdout(stdout)?;
        dup2_stderr(stderr)?;
    }
    let (end, socket) = (fds.pop(), fds.pop());
    let (Some(end), Some(socket)) = (end, socket) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    lifeline::hold(end);
    // As the supervisor does for those that it starts.
    setpgid(None, None)?;
    let pid = getpid();
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let forked = WorkerStatus::Forked { pid: pid.as_raw_nonzero().get().unsigned_abs() };
    send_status(&socket, &forked, &[pidfd.as_fd()])?;
    Ok(Newborn { worker: order.worker, app, socket, ends })
}
