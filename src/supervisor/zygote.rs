//! The zygote's process, and the workers that it forks.
//!
//! A forked worker is the zygote's child, so the zygote tells how it ended; that
//! it ended is seen by its pidfd. When the zygote dies, its children become ours
//! (see [`super::orphans`]).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flupd_channel::startup::{
    Fork, WorkerStatus, ZygoteStatus, decode_status, decode_zygote_status,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use super::cause::Cause;
use super::decide::Event;
use super::end::End;
use super::processes::{Events, LAST_STEPS, Process, ended, said};
use crate::config::GroupId;
use crate::control::PacketSocket;
use crate::observe::logs::Streams;

/// How many orders may wait for the zygote: each worker asks for one at a time.
const QUEUE: usize = 1024;

/// Who waits for the exit status of which worker. Empty and closed once the
/// zygote has ended.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<ExitStatus>>>>;

/// The zygote, and the queue of what it is to fork.
#[derive(Debug)]
pub(super) struct ZygoteProcess {
    process: Process,
    queue: mpsc::Sender<(Fork, Vec<OwnedFd>)>,
    waiting: Waiting,
    events: Events,
}

/// A worker that a zygote was told to fork.
#[derive(Debug)]
pub(super) struct ForkedWorker {
    /// Once it has said that it lives.
    process: Arc<OnceLock<Process>>,
    /// It is killed when this is closed, also by our own end.
    lifeline: Option<OwnedFd>,
    /// What the gateway gets as soon as the worker lives.
    ends: Vec<OwnedFd>,
}

impl ZygoteProcess {
    /// Watches a zygote of this group that was just started.
    pub(super) fn watch(
        group: GroupId,
        mut child: Child,
        socket: OwnedFd,
        events: Events,
    ) -> io::Result<Self> {
        let process = Process::of(&child)?;
        let killer = Process::of(&child)?;
        let socket = Arc::new(PacketSocket::new(socket)?);
        let (queue, mut orders) = mpsc::channel::<(Fork, Vec<OwnedFd>)>(QUEUE);
        let writer = Arc::clone(&socket);
        tokio::spawn(async move {
            while let Some((order, fds)) = orders.recv().await {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                let sent = match serde_json::to_vec(&order) {
                    Ok(text) => writer.send(&text, &fds).await,
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = sent {
                    // As with the gateway.
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        tokio::time::sleep(LAST_STEPS).await;
                    } else {
                        tracing::error!(%error, "zygote can't be told what to do and is ended");
                    }
                    killer.kill();
                    break;
                }
            }
        });
        let waiting = Waiting::default();
        let (told, reporter) = (Arc::clone(&waiting), events.clone());
        tokio::spawn(async move {
            let mut open = true;
            let cause = loop {
                tokio::select! {
                    end = child.wait() => break ended(end),
                    message = socket.receive(), if open => {
                        open = matches!(message, Ok(Some(_)));
                        if let Ok(Some((message, _))) = message {
                            report(group, &message, &told, &reporter).await;
                        }
                    }
                }
            };
            // What it said last comes before its end.
            while let (true, Ok(Some((message, _)))) = (open, socket.try_receive()) {
                report(group, &message, &told, &reporter).await;
            }
            told.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let _ = reporter.send(Event::ZygoteExited { group, cause }).await;
        });
        Ok(Self { process, queue, waiting, events })
    }

    /// Its process id.
    pub(super) const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.process.kill();
    }

    /// Has it fork a worker: what becomes of it is told by events. `ends` are
    /// the worker's and the gateway's.
    pub(super) fn fork(
        &self,
        worker: u64,
        ends: flupd_channel::Ends,
        streams: Option<Streams>,
    ) -> io::Result<ForkedWorker> {
        let (ours, theirs) = flupd_channel::packet::pair()?;
        let (end, lifeline) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let process = Arc::default();
        let (status, exited) = oneshot::channel();
        let watched = Watched {
            worker,
            status: PacketSocket::new(ours)?,
            process: Arc::clone(&process),
            exited,
            events: self.events.clone(),
        };
        let order = Fork { worker, streams: streams.is_some() };
        let mut fds = vec![theirs, end];
        fds.extend(streams.into_iter().flat_map(|streams| [streams.stdout, streams.stderr]));
        fds.extend(ends.worker);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, status);
        self.queue.try_send((order, fds)).map_err(io::Error::other)?;
        tokio::spawn(watched.run());
        Ok(ForkedWorker { process, lifeline: Some(lifeline), ends: ends.gateway })
    }
}

impl ForkedWorker {
    /// Its process id, once it lives.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.get().map(Process::pid)
    }

    /// Ends it at once, or as soon as it is forked.
    pub(super) fn kill(&mut self) {
        self.lifeline = None;
        if let Some(process) = self.process.get() {
            process.kill();
        }
    }

    /// The gateway's ends of its channel, once.
    pub(super) fn take_ends(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.ends)
    }
}

async fn report(group: GroupId, message: &[u8], waiting: &Waiting, events: &Events) {
    let event = match decode_zygote_status(message) {
        Ok(ZygoteStatus::Ready { python, app, threads }) => {
            Event::ZygoteReady { group, app, python, threads }
        }
        Ok(ZygoteStatus::Failed { error }) => Event::ZygoteFailed { group, error },
        Ok(ZygoteStatus::Exited { worker, status }) => {
            let asked = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
            // Who has asked may have seen enough already.
            let _ = asked.map(|asked| asked.send(ExitStatus::from_raw(status)));
            return;
        }
        Err(error) => Event::ZygoteFailed {
            group,
            error: format!("the zygote said what can't be understood: {error}"),
        },
    };
    let _ = events.send(event).await;
}

/// What is seen of one worker, turned into events.
struct Watched {
    worker: u64,
    status: PacketSocket,
    process: Arc<OnceLock<Process>>,
    exited: oneshot::Receiver<ExitStatus>,
    events: Events,
}

impl Watched {
    async fn run(self) {
        let worker = self.worker;
        let cause = match self.birth().await {
            Ok((pid, end)) => {
                let _ = self.events.send(Event::WorkerForked { worker, pid }).await;
                self.listen(&end).await;
                how_it_ended(pid, self.exited).await
            }
            Err(error) => Cause::Lost(error),
        };
        let _ = self.events.send(Event::WorkerExited { worker, cause }).await;
    }

    /// The first message comes from the zygote or the worker.
    async fn birth(&self) -> Result<(u32, End), String> {
        let message = self.status.receive().await.map_err(|error| error.to_string())?;
        let Some((message, fds)) = message else {
            return Err("it, or the zygote, has ended before it said a word".into());
        };
        let said = decode_status(&message).map_err(|error| error.to_string())?;
        match (said, fds.into_iter().next()) {
            (WorkerStatus::Forked { pid }, Some(pidfd)) => {
                let end = pidfd.try_clone().and_then(End::of);
                let end = end.map_err(|error| format!("it can't be watched: {error}"))?;
                let _ = self.process.set(Process::known(pid, pidfd));
                Ok((pid, end))
            }
            (WorkerStatus::Unforked { error }, _) => Err(error),
            _ => Err("it did not say that it was forked".into()),
        }
    }

    /// Passes on what it says until it has ended.
    async fn listen(&self, end: &End) {
        let mut open = true;
        while open {
            tokio::select! {
                () = end.seen() => break,
                message = self.status.receive() => match message {
                    Ok(Some((message, _))) => self.pass_on(&message).await,
                    _ => open = false,
                }
            }
        }
        end.seen().await;
        // What it said last comes before its end.
        while let (true, Ok(Some((message, _)))) = (open, self.status.try_receive()) {
            self.pass_on(&message).await;
        }
    }

    async fn pass_on(&self, message: &[u8]) {
        let _ = self.events.send(said(self.worker, message)).await;
    }
}

/// The exit status of a process that has ended: from the zygote, or, if that has
/// ended first, as its heirs.
async fn how_it_ended(pid: u32, told: oneshot::Receiver<ExitStatus>) -> Cause {
    let inherited = || {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let (_, status) = waitpid(Some(pid), WaitOptions::NOHANG).ok()??;
        Some(ExitStatus::from_raw(status.as_raw()))
    };
    if let Some(status) = inherited() {
        return Cause::Ended(status);
    }
    match told.await {
        Ok(status) => Cause::Ended(status),
        // The zygote has just ended, and has not told.
        Err(_) => inherited().map_or(Cause::Unseen, Cause::Ended),
    }
}
