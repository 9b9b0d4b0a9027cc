//! The old flupd, as the new one sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use flupd_channel::packet;
use rustix::process::getppid;

use super::handover::{ToPredecessor, ToSuccessor, VERSION};
use crate::control::PacketSocket;
use crate::inherited;
use crate::supervisor::admin::ControlListener;
use crate::supervisor::decide::Event;
use crate::supervisor::listeners::Listeners;
use crate::supervisor::processes::Events;
use crate::supervisor::spawn::{SOCKET_FD, UPGRADE};

/// What a flupd has handed over that runs still, and shall be replaced by this
/// process.
#[derive(Debug)]
pub(crate) struct Predecessor {
    socket: OwnedFd,
    pub(in crate::supervisor) listeners: Listeners,
    pub(in crate::supervisor) control: Option<ControlListener>,
    /// Where it passes on connections.
    pub(in crate::supervisor) heritage: Option<OwnedFd>,
}

impl Predecessor {
    /// The one that has started this process, if that is so. To be called before
    /// anything is opened.
    ///
    /// # Errors
    /// When it says something that can't be understood.
    pub(crate) fn of_this_process() -> io::Result<Option<Self>> {
        let Some(said) = std::env::var_os(UPGRADE) else { return Ok(None) };
        let parent = getppid().map(|pid| pid.as_raw_pid().to_string());
        // Whoever else has this variable has it by accident.
        if said.to_str() != parent.as_deref() {
            return Ok(None);
        }
        let socket = inherited::take(SOCKET_FD)?;
        let mut this =
            Self { socket, listeners: Listeners::default(), control: None, heritage: None };
        let done = this.receive();
        if let Err(error) = &done {
            this.refuse(&error.to_string());
        }
        done.map(|()| Some(this))
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut begun = false;
        loop {
            let Some((text, fds)) = packet::receive(&self.socket)? else {
                return Err(io::Error::other("the flupd to be replaced has ended"));
            };
            // One that is not known is of a later version, which can do without it.
            let Ok(message) = serde_json::from_slice(&text) else { continue };
            match message {
                ToSuccessor::Begin { version: VERSION } => begun = true,
                _ if !begun => {
                    return Err(io::Error::other(
                        "the flupd that runs hands over in a way that this one does not know; \
                         stop it and start this one",
                    ));
                }
                ToSuccessor::Listener(offer) => self.listeners.accept_offer(&offer, fds),
                ToSuccessor::Control { made } => {
                    let socket = fds.into_iter().next();
                    self.control = socket.map(|socket| ControlListener::offered(socket, made));
                }
                ToSuccessor::Connections => self.heritage = fds.into_iter().next(),
                ToSuccessor::All => return Ok(()),
                ToSuccessor::Begin { .. } | ToSuccessor::TakeOver | ToSuccessor::Reload => {}
            }
        }
    }

    /// Says why this process can't start.
    pub(crate) fn refuse(&self, why: &str) {
        say(&self.socket, &ToPredecessor::Failed(why.to_owned()));
    }

    /// What says so later.
    ///
    /// # Errors
    /// What `dup(2)` reports.
    pub(in crate::supervisor) fn voice(&self) -> io::Result<Voice> {
        self.socket.try_clone().map(Voice)
    }

    /// Speaks with it while this process starts, and hears of its end. Needs a
    /// running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(in crate::supervisor) fn watch(self, events: Events) -> io::Result<Elder> {
        let Self { socket, listeners, control, heritage } = self;
        let socket = Arc::new(PacketSocket::new(socket)?);
        let heard = Arc::clone(&socket);
        let gone = tokio::spawn(async move {
            while let Ok(Some((text, _))) = heard.receive().await {
                let event = match serde_json::from_slice(&text) {
                    Ok(ToSuccessor::TakeOver) => Event::TakeOver,
                    Ok(ToSuccessor::Reload) => Event::ReloadWanted,
                    _ => continue,
                };
                let _ = events.send(event).await;
            }
            let _ = events.send(Event::ElderGone).await;
        });
        Ok(Elder { socket, listeners, control, heritage, gone })
    }
}

/// Speaks to the old flupd when all else has failed.
pub(in crate::supervisor) struct Voice(OwnedFd);

impl Voice {
    /// Says why this process can't start.
    pub(in crate::supervisor) fn refuse(&self, why: String) {
        say(&self.0, &ToPredecessor::Failed(why));
    }
}

/// The old flupd, and what of it is not taken over yet.
#[derive(Debug)]
pub(in crate::supervisor) struct Elder {
    socket: Arc<PacketSocket>,
    /// All that it had. What is still configured is shared with what we have.
    listeners: Listeners,
    pub(in crate::supervisor) control: Option<ControlListener>,
    pub(in crate::supervisor) heritage: Option<OwnedFd>,
    gone: tokio::task::JoinHandle<()>,
}

impl Elder {
    /// Says that all is ready.
    pub(in crate::supervisor) fn prove(&self) {
        say(self.socket.as_fd(), &ToPredecessor::Ready);
    }

    /// Says why it is not.
    pub(in crate::supervisor) fn refuse(&self, why: String) {
        say(self.socket.as_fd(), &ToPredecessor::Failed(why));
    }

    /// Says that it has nothing any more, and removes what is not wanted.
    pub(in crate::supervisor) fn succeed(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        listeners.own(true);
        drop(listeners);
        say(self.socket.as_fd(), &ToPredecessor::Taken);
    }

    /// Waits until it has ended.
    pub(in crate::supervisor) async fn ended(self) {
        let _ = self.gone.await;
    }
}

/// Whoever does not hear this has ended, which is seen elsewhere.
fn say(socket: impl AsFd, message: &ToPredecessor) {
    let text = serde_json::to_vec(message);
    let _ = text.map_err(io::Error::from).and_then(|text| packet::send(socket, &text, &[]));
}
