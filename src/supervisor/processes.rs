//! The running children: watched by one task each, which turns what they say and
//! their end into events.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::startup::{WorkerStatus, decode_status};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::cause::Cause;
use super::decide::{Due, Event};
use crate::control::{Control, FromGateway, PacketSocket, ToGateway};

/// How many messages may wait for the gateway: more than any pool has workers.
/// A gateway that lets more pile up hangs.
const QUEUE: usize = 8192;

/// How long a process may take to end after it has closed its socket.
pub(super) const LAST_STEPS: Duration = Duration::from_secs(1);

/// Where events go.
pub(super) type Events = mpsc::Sender<Event>;

/// A child, known by a descriptor: its number may be another's after its end.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    pidfd: OwnedFd,
}

impl Process {
    /// A child that was just started.
    pub(super) fn of(child: &Child) -> io::Result<Self> {
        let gone = || io::Error::other("it has already ended");
        let pid = child.id().ok_or_else(gone)?;
        let known = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        Ok(Self { pid, pidfd: pidfd_open(known, PidfdFlags::empty())? })
    }

    /// A process that has sent its own descriptor.
    pub(super) const fn known(pid: u32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Its process id.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it at once. Its end is reported as any other.
    pub(super) fn kill(&self) {
        // The only failure is that it has ended already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// The gateway, and the queue of what it is to be told.
#[derive(Debug)]
pub(super) struct GatewayProcess {
    process: Process,
    queue: Line,
}

/// Where messages to a gateway go.
pub(super) type Line = mpsc::Sender<(ToGateway, Vec<OwnedFd>)>;

impl GatewayProcess {
    /// Watches a gateway that was just started.
    /// Its end is the event that `exited` makes.
    pub(super) fn watch(
        mut child: Child,
        control: OwnedFd,
        events: Events,
        exited: fn(Cause) -> Event,
    ) -> io::Result<Self> {
        let process = Process::of(&child)?;
        let control = Arc::new(Control::new(control)?);
        let (queue, mut messages) = mpsc::channel::<(ToGateway, Vec<OwnedFd>)>(QUEUE);
        let killer = Process::of(&child)?;
        let writer = Arc::clone(&control);
        tokio::spawn(async move {
            while let Some((message, fds)) = messages.recv().await {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                if let Err(error) = writer.send(&message, &fds).await {
                    // It has closed its end, so it is about to end, and its end
                    // will be reported.
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        tokio::time::sleep(LAST_STEPS).await;
                    } else {
                        tracing::error!(%error, "gateway can't be told what to do and is ended");
                    }
                    killer.kill();
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let mut open = true;
            let cause = loop {
                tokio::select! {
                    status = child.wait() => break ended(status),
                    message = control.receive::<FromGateway>(), if open => match message {
                        Ok(Some((message, _))) => report(&events, message).await,
                        Ok(None) => open = false,
                        Err(error) => {
                            tracing::error!(%error, "gateway said what can't be understood");
                            open = false;
                        }
                    },
                }
            };
            let _ = events.send(exited(cause)).await;
        });
        Ok(Self { process, queue })
    }

    /// Tells it something, with descriptors. Never waits: one that does not
    /// listen any more is ended.
    pub(super) fn tell(&self, message: ToGateway, fds: Vec<OwnedFd>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send((message, fds)) {
            tracing::error!("gateway does not read what it is told and is ended");
            self.kill();
        }
    }

    /// For what is told later.
    pub(super) fn line(&self) -> Line {
        self.queue.clone()
    }

    /// Its process id.
    pub(super) const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.process.kill();
    }
}

/// Watches a worker that was just started.
pub(super) fn watch_worker(
    worker: u64,
    mut child: Child,
    status: OwnedFd,
    events: Events,
) -> io::Result<Process> {
    let process = Process::of(&child)?;
    let status = PacketSocket::new(status)?;
    tokio::spawn(async move {
        let mut open = true;
        let cause = loop {
            tokio::select! {
                end = child.wait() => break ended(end),
                message = status.receive(), if open => {
                    open = matches!(message, Ok(Some(_)));
                    if let Ok(Some((message, _))) = message {
                        let _ = events.send(said(worker, &message)).await;
                    }
                }
            }
        };
        // What it said last comes before its end.
        while let (true, Ok(Some((message, _)))) = (open, status.try_receive()) {
            let _ = events.send(said(worker, &message)).await;
        }
        let _ = events.send(Event::WorkerExited { worker, cause }).await;
    });
    Ok(process)
}

/// What a worker says of its start.
pub(super) fn said(worker: u64, message: &[u8]) -> Event {
    match decode_status(message) {
        Ok(WorkerStatus::Ready { python, app }) => Event::WorkerReady { worker, app, python },
        Ok(WorkerStatus::Failed { error } | WorkerStatus::Unforked { error }) => {
            Event::WorkerFailed { worker, error }
        }
        Ok(WorkerStatus::Forked { pid }) => Event::WorkerForked { worker, pid },
        Err(error) => Event::WorkerFailed {
            worker,
            error: format!("the worker said what can't be understood: {error}"),
        },
    }
}

async fn report(events: &Events, message: FromGateway) {
    let event = match message {
        FromGateway::Listening => Event::GatewayListens,
        FromGateway::Closed => Event::GatewayClosed,
        FromGateway::Pong => Event::GatewayAnswers,
        FromGateway::Reconfigured => Event::GatewaySwitched,
        FromGateway::Canary { app, old, new } => Event::Canary(Box::new((app, old, new))),
        FromGateway::WorkerProved { worker, failure, .. } => {
            Event::WorkerProved { worker, failure }
        }
        FromGateway::Told { question, snapshot } => Event::Told { question, snapshot },
        FromGateway::Ask { question, what } => Event::StatusAsked { question, what },
        FromGateway::Load { group, load } => Event::Load { group, load },
        FromGateway::WorkerWorn { worker, .. } => Event::WorkerWorn { worker },
        FromGateway::WorkerServed { worker, .. } => Event::WorkerDue { worker, why: Due::Requests },
        FromGateway::WorkerSpent { worker, .. } => Event::WorkerSpent { worker },
        FromGateway::WorkerBroken { worker, reason, .. } => Event::WorkerBroken { worker, reason },
    };
    let _ = events.send(event).await;
}

/// How a child ended.
pub(super) fn ended(status: io::Result<std::process::ExitStatus>) -> Cause {
    match status {
        Ok(status) => Cause::Ended(status),
        Err(error) => Cause::Lost(format!("it can't be waited for: {error}")),
    }
}
