//! The new flupd, as the old one sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::packet;
use tokio::process::Child;

use super::handover::{Made, Offer, ToPredecessor, ToSuccessor, VERSION};
use crate::control::PacketSocket;
use crate::supervisor::cause::Cause;
use crate::supervisor::decide::Event;
use crate::supervisor::processes::{Events, Process, ended};

/// How long one that is not wanted may take to clean up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process that shall take over.
#[derive(Debug)]
pub(in crate::supervisor) struct Successor {
    process: Process,
    socket: Arc<PacketSocket>,
    /// Our end of the way on which connections are passed on.
    pub(in crate::supervisor) heir: OwnedFd,
}

/// What is handed over.
pub(in crate::supervisor) struct Estate<'s> {
    pub(in crate::supervisor) listeners: Vec<(Offer, Vec<OwnedFd>)>,
    pub(in crate::supervisor) control: Option<(Made, &'s OwnedFd)>,
}

impl Successor {
    /// Hands over to a process that was just started, which has the other end of
    /// this socket, and watches it.
    ///
    /// # Errors
    /// When it can't be spoken with.
    pub(in crate::supervisor) fn begin(
        child: Child,
        socket: OwnedFd,
        estate: Estate<'_>,
        events: Events,
    ) -> io::Result<Self> {
        let process = Process::of(&child)?;
        let (heir, heritage) = packet::pair()?;
        let all = (|| {
            let none: [OwnedFd; 0] = [];
            say(&socket, &ToSuccessor::Begin { version: VERSION }, &none)?;
            for (offer, sockets) in estate.listeners {
                say(&socket, &ToSuccessor::Listener(offer), &sockets)?;
            }
            if let Some((made, control)) = estate.control {
                say(&socket, &ToSuccessor::Control { made }, &[control])?;
            }
            say(&socket, &ToSuccessor::Connections, &[heritage])?;
            say(&socket, &ToSuccessor::All, &none)
        })();
        let socket = Arc::new(PacketSocket::new(socket)?);
        // One that has ended already has not heard it all. How it ended is told below.
        if let Err(error) = all.or_else(is_its_end) {
            process.kill();
            return Err(error);
        }
        tokio::spawn(watch(child, Arc::clone(&socket), events));
        Ok(Self { process, socket, heir })
    }

    /// Its process id.
    pub(in crate::supervisor) const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// It takes over from now on.
    pub(in crate::supervisor) fn take_over(&self) {
        self.tell(&ToSuccessor::TakeOver);
    }

    /// It shall do the reload that is wanted.
    pub(in crate::supervisor) fn reload(&self) {
        self.tell(&ToSuccessor::Reload);
    }

    /// It is not wanted. Told so, it removes what it has made; if it does not
    /// listen, it is killed.
    pub(in crate::supervisor) fn dismiss(self) {
        let Self { process, socket, .. } = self;
        socket.close();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            process.kill();
        });
    }

    fn tell(&self, message: &ToSuccessor) {
        // What can't be told it will hear from its end, or we from its.
        let _ = serde_json::to_vec(message)
            .map_err(io::Error::from)
            .and_then(|text| packet::send(self.socket.as_fd(), &text, &[]));
    }
}

fn say(socket: &OwnedFd, message: &ToSuccessor, fds: &[impl AsFd]) -> io::Result<()> {
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    packet::send(socket, &serde_json::to_vec(message)?, &fds)
}

fn is_its_end(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
        _ => Err(error),
    }
}

async fn watch(mut child: Child, socket: Arc<PacketSocket>, events: Events) {
    let (mut open, mut failure) = (true, None);
    let cause = loop {
        tokio::select! {
            biased;
            message = socket.receive(), if open => match message {
                Ok(Some((text, _))) => match serde_json::from_slice(&text) {
                    Ok(ToPredecessor::Ready) => drop(events.send(Event::SuccessorReady).await),
                    Ok(ToPredecessor::Taken) => drop(events.send(Event::SuccessorTook).await),
                    Ok(ToPredecessor::Failed(why)) => failure = Some(why),
                    Err(error) => tracing::debug!(%error, "the new flupd said what is not known"),
                },
                Ok(None) | Err(_) => open = false,
            },
            end = child.wait() => break ended(end),
        }
    };
    let why = failure.unwrap_or_else(|| said_nothing(&cause));
    let _ = events.send(Event::SuccessorEnded { why }).await;
}

/// It ended without a word over the socket: it may have printed some.
fn said_nothing(cause: &Cause) -> String {
    format!(
        "the new flupd ended before it was ready ({cause}); its log or standard error may say why"
    )
}
