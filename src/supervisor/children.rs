//! Starts the gateway, zygotes and workers, each with its first message.

use std::io;
use std::os::fd::AsFd;

use flupd_channel::packet;
use flupd_channel::startup::{Task, send_task};

use super::decide::Event;
use super::listeners::Listeners;
use super::processes::{GatewayProcess, watch_worker};
use super::worker::Worker;
use super::zygote::ZygoteProcess;
use super::{Supervisor, spawn};
use crate::config::GroupId;
use crate::control::ToGateway;
use crate::observe::collector::{GATEWAY, Origin};

impl Supervisor<'_> {
    pub(super) fn start_gateway(&mut self) -> io::Result<()> {
        let none = Listeners::default();
        let listeners = self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let listeners = if self.upgrade.proves() { &none } else { listeners };
        let sockets = listeners.duplicate()?;
        let config = self.gateway_config(listeners);
        let (ours, theirs) = packet::pair()?;
        let streams = self.logs.capture(&Origin { process: GATEWAY, app: None, worker: None })?;
        let exited = |cause| Event::GatewayExited { cause };
        let child = spawn::gateway(theirs, &self.config.privileges, streams)?;
        let gateway = GatewayProcess::watch(child, ours, self.events.clone(), exited)?;
        let bell = flupd_channel::bell()?;
        let mut fds = sockets;
        fds.extend(self.logs.for_gateway()?);
        fds.push(bell.try_clone()?);
        gateway.tell(ToGateway::Configure(config), fds);
        self.gateway = Some(gateway);
        self.bell = Some(bell);
        Ok(())
    }

    pub(super) fn start_zygote(&mut self, group: GroupId) -> io::Result<()> {
        let program = self.programs.get_mut(&group).ok_or(io::ErrorKind::NotFound)?;
        let (ours, theirs) = packet::pair()?;
        send_task(&ours, &Task::Preload(program.zygote_config()), &[])?;
        let streams = self.logs.capture(&program.origin(None))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        program.zygote = Some(ZygoteProcess::watch(group, child, ours, self.events.clone())?);
        Ok(())
    }

    pub(super) fn start_worker(&mut self, group: GroupId, worker: u64) -> io::Result<()> {
        let program = self.programs.get(&group).ok_or(io::ErrorKind::NotFound)?;
        if program.app.solo {
            let solo = self.start_solo(group, program, worker)?;
            self.workers.insert(worker, Worker::Solo(solo));
            return Ok(());
        }
        let bell = self.bell.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let ends = flupd_channel::create(program.app.threads, bell)?.with_probe()?;
        if program.app.preload {
            let zygote = program.zygote.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            // The gateway hears of it once it lives.
            let streams = self.logs.capture(&program.origin(Some(worker)))?;
            let forked = zygote.fork(worker, ends, streams)?;
            self.workers.insert(worker, Worker::Forked(forked));
            return Ok(());
        }
        let task = Task::Serve(program.worker_config(worker));
        let (ours, theirs) = packet::pair()?;
        let fds: Vec<_> = ends.worker.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &task, &fds)?;
        let streams = self.logs.capture(&program.origin(Some(worker)))?;
        let child = program.spawn(theirs, &self.open_files, streams)?;
        let process = watch_worker(worker, child, ours, self.events.clone())?;
        let started = ToGateway::WorkerStarted { group, worker, pid: process.pid(), probed: true };
        self.workers.insert(worker, Worker::Started(process));
        self.tell(started, ends.gateway);
        Ok(())
    }
}
