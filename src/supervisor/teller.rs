//! The process that tells the status of solo workers over HTTP. The supervisor listens to
//! no client: that process does, and asks the supervisor what is to be told.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use flupd_channel::packet;
use serde::Serialize;
use tokio::sync::oneshot;

use super::Supervisor;
use super::decide::Event;
use super::listeners::Listeners;
use super::processes::{GatewayProcess, Line};
use super::spawn;
use crate::admin::Outcome;
use crate::config::{GatewayConfig, Protocol};
use crate::control::{StatusQuestion, ToGateway};
use crate::observe::collector::{GATEWAY, Origin};
use crate::observe::report::Report;

impl Supervisor<'_> {
    /// Starts it, with the sockets on which it tells.
    pub(super) fn start_teller(&mut self) -> io::Result<()> {
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let config = self.teller_config(listeners);
        let mut fds = listeners.of_status(&Listeners::default())?;
        fds.push(self.logs.for_events()?);
        let (ours, theirs) = packet::pair()?;
        let streams = self.logs.capture(&Origin { process: GATEWAY, app: None, worker: None })?;
        let child = spawn::gateway(theirs, &self.config.privileges, streams)?;
        let exited = |cause| Event::TellerExited { cause };
        let teller = GatewayProcess::watch(child, ours, self.events.clone(), exited)?;
        teller.tell(ToGateway::TellStatus(config), fds);
        self.teller = Some(teller);
        Ok(())
    }

    /// This holds from now on: the sockets that were not there `before` go to it. It is
    /// started or ended if there was no status listener, or is none any more.
    pub(super) fn reconfigure_teller(&mut self, before: &Listeners) {
        let Some(listeners) = &self.listeners else { return };
        let config = self.teller_config(listeners);
        let wanted = self.config.is_solo() && !config.listeners.is_empty();
        match (&self.teller, wanted) {
            (Some(teller), true) => match listeners.of_status(before) {
                Ok(new) => teller.tell(ToGateway::Reconfigure(config), new),
                Err(error) => tracing::error!(%error, "the status can't be told as configured"),
            },
            (Some(teller), false) => teller.tell(ToGateway::Stop, Vec::new()),
            (None, _) => {}
        }
        self.state.want_teller(wanted, Instant::now());
    }

    /// Another flupd tells the status from now on.
    pub(super) fn retire_teller(&mut self) {
        if let Some(teller) = &self.teller {
            teller.tell(ToGateway::Stop, Vec::new());
        }
        self.state.want_teller(false, Instant::now());
    }

    fn teller_config(&self, listeners: &Listeners) -> GatewayConfig {
        let mut config = self.gateway_config(listeners);
        config.listeners.retain(|listener| listener.protocol == Protocol::Status);
        config.apps.clear();
        (config.access, config.otlp) = (None, None);
        config
    }

    /// Answers a question of it, in a task of its own.
    pub(super) fn answer(&self, question: u64, asked: &StatusQuestion) {
        let Some(teller) = &self.teller else { return };
        let line = teller.line();
        let (metrics, _) = self.metrics();
        match *asked {
            StatusQuestion::Metrics { proportional: false } => {
                send(&line, question, &metrics.to_text(false));
            }
            StatusQuestion::Metrics { proportional: true } => {
                // The kernel takes milliseconds for this.
                tokio::task::spawn_blocking(move || {
                    send(&line, question, &metrics.to_text(true));
                });
            }
            StatusQuestion::Sample => send(&line, question, &metrics.sample()),
            StatusQuestion::Unready => send(&line, question, &metrics.unready()),
            StatusQuestion::Report { frames_ms } => {
                let (waits, told) = oneshot::channel();
                let begun = Instant::now();
                self.tell_of_solo(frames_ms.map(Duration::from_millis), waits);
                tokio::spawn(async move {
                    let snapshot = match told.await {
                        Ok(Outcome::Status(snapshot)) => Some(*snapshot),
                        _ => None,
                    };
                    send(
                        &line,
                        question,
                        &Report::new(&metrics, (snapshot, begun.elapsed()), None),
                    );
                });
            }
        }
    }
}

/// Sends an answer, of whatever length: in a file that lives in memory.
fn send(line: &Line, question: u64, answer: &impl Serialize) {
    let sent = in_memory(answer).map(|file| {
        // One that does not read is asked no more.
        let _ = line.try_send((ToGateway::Answer { question }, vec![file]));
    });
    if let Err(error) = sent {
        tracing::error!(%error, "the status can't be told");
    }
}

fn in_memory(answer: &impl Serialize) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("flupd-status", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(&serde_json::to_vec(answer)?)?;
    file.rewind()?;
    Ok(file.into())
}
