//! Plays supervisor to a zygote, and gateway to the workers that it forks.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use flupd_channel::packet;
use flupd_channel::startup::{
    Fork, Task, WorkerStatus, ZygoteConfig, ZygoteStatus, decode_status, decode_zygote_status,
    send_task,
};
use rustix::pipe::{PipeFlags, pipe_with};

use super::{Gateway, Python, Start, ended, spawn};

/// A running zygote.
pub struct Zygote {
    child: Child,
    socket: Option<OwnedFd>,
    workers: u64,
}

/// A worker that may not be there yet.
pub struct Order {
    gateway: Gateway,
    status: OwnedFd,
    pub lifeline: OwnedFd,
}

/// A worker that was forked.
pub struct Forked {
    pub pid: u32,
    gateway: Gateway,
    /// Its socket to the supervisor.
    pub status: OwnedFd,
    /// It ends with this.
    pub lifeline: Option<OwnedFd>,
}

impl Deref for Forked {
    type Target = Gateway;
    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl DerefMut for Forked {
    fn deref_mut(&mut self) -> &mut Gateway {
        &mut self.gateway
    }
}

impl Start {
    /// Starts a zygote and waits for what it says.
    pub fn zygote(&self, python: &Python) -> (Zygote, ZygoteStatus) {
        let (child, socket) = spawn(python);
        let task = Task::Preload(ZygoteConfig {
            app: self.app.clone(),
            script: None,
            chdir: self.chdir.clone(),
            path: self.path.clone(),
            multiprocess: self.multiprocess,
        });
        send_task(&socket, &task, &[]).unwrap();
        let mut zygote = Zygote { child, socket: Some(socket), workers: 0 };
        match packet::receive(zygote.socket.as_ref().unwrap()).unwrap() {
            Some((message, _)) => (zygote, decode_zygote_status(&message).unwrap()),
            None => panic!("{python}: {:?}", zygote.ended()),
        }
    }
}

impl Zygote {
    /// What it says next.
    pub fn says(&self) -> ZygoteStatus {
        let (message, _) = packet::receive(self.socket.as_ref().unwrap()).unwrap().unwrap();
        decode_zygote_status(&message).unwrap()
    }

    /// Waits until it reports the end of this worker.
    pub fn buries(&self, number: u64) -> ExitStatus {
        let ZygoteStatus::Exited { worker, status } = self.says() else { panic!() };
        assert_eq!(worker, number);
        ExitStatus::from_raw(status)
    }

    /// Orders a worker.
    pub fn order(&mut self, threads: usize) -> Order {
        let (gateway, ends) = Gateway::new(threads);
        let (status, theirs) = packet::pair().unwrap();
        let (end, lifeline) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut fds = vec![theirs, end];
        fds.extend(ends);
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.workers += 1;
        let order = serde_json::to_vec(&Fork { worker: self.workers, streams: false }).unwrap();
        packet::send(self.socket.as_ref().unwrap(), &order, &borrowed).unwrap();
        Order { gateway, status, lifeline }
    }

    /// Has it fork a worker, and waits for the first word.
    pub fn fork(&mut self, threads: usize) -> Result<Forked, WorkerStatus> {
        let Order { gateway, status, lifeline } = self.order(threads);
        let (message, fds) = packet::receive(&status).unwrap().unwrap();
        match decode_status(&message).unwrap() {
            WorkerStatus::Forked { pid } if fds.len() == 1 => {
                Ok(Forked { pid, gateway, status, lifeline: Some(lifeline) })
            }
            other => Err(other),
        }
    }

    /// Has it fork a worker that is ready to serve.
    pub fn worker(&mut self, threads: usize) -> Forked {
        let worker = self.fork(threads).unwrap();
        let (message, _) = packet::receive(&worker.status).unwrap().unwrap();
        let status = decode_status(&message).unwrap();
        assert!(matches!(status, WorkerStatus::Ready { .. }), "{status:?}");
        worker
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends as a supervisor does. Its status, and what was written until now.
    pub fn leave(&mut self) -> (ExitStatus, String, String) {
        self.socket = None;
        self.ended()
    }

    /// Waits for its end. Its status, and what it and its workers have written.
    pub fn ended(&mut self) -> (ExitStatus, String, String) {
        ended(&mut self.child)
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
