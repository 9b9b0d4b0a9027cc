//! The listeners, the connections and the pool behind them.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use flupd_channel::ChannelError;
use flupd_channel::gateway::Shelf;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::error;

use super::listener::{self, Admission, Listener};
use super::park;
use super::pool::Pool;
use super::seat::Seat;
use super::shared::Shared;
use super::stopping::Stopping;
use crate::config::GatewayConfig;
use crate::control::FromGateway;

/// Descriptors that are not connections: control, log, spool files, ports.
const RESERVED_FDS: usize = 64;

/// How long a worker whose ports are closed may take to end its process.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often memory for bodies is given back that was not used meanwhile.
const TIDY: Duration = Duration::from_secs(5);

/// Everything between the listening sockets and the app threads.
pub(super) struct Front {
    shared: Rc<Shared>,
    admission: Rc<Admission>,
    listeners: Vec<JoinHandle<()>>,
}

impl Front {
    /// Nothing listens yet, and nobody works. Reports go to the supervisor.
    pub(super) fn new(config: GatewayConfig, reports: UnboundedSender<FromGateway>) -> Self {
        let pool = Pool::new(config.limits.queue, reports);
        park::serve(Rc::clone(&pool));
        tokio::task::spawn_local(Rc::clone(&pool).pulse());
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let fds = fds.and_then(|fds| usize::try_from(fds).ok()).unwrap_or(usize::MAX);
        // Beside its connection a spooled body needs a descriptor, and a client
        // that reads slowly another.
        let connections = fds.saturating_sub(config.concurrency + RESERVED_FDS) / 3;
        let shelf = Shelf::new(config.limits.body_memory);
        tokio::task::spawn_local(tidy(shelf.clone()));
        let (buffers, stopping) = (RefCell::default(), Stopping::default());
        Self {
            shared: Rc::new(Shared { config, pool, buffers, shelf, stopping }),
            admission: Admission::new(connections.max(16)),
            listeners: Vec::new(),
        }
    }

    /// The workers and their queue.
    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.shared.pool
    }

    /// Accepts on these sockets, which are in the order of their configurations.
    ///
    /// # Errors
    /// When one can't be used; the message is for the administrator.
    pub(super) fn listen(&mut self, sockets: Vec<OwnedFd>) -> anyhow::Result<()> {
        let configs = &self.shared.config.listeners;
        if configs.len() != sockets.len() {
            bail!("{} listeners are configured and {} came", configs.len(), sockets.len());
        }
        for (config, socket) in configs.iter().zip(sockets) {
            let listener = Listener::new(socket)
                .with_context(|| format!("can't accept on {}", config.address))?;
            self.listeners.push(tokio::task::spawn_local(listener::run(
                listener,
                config.clone(),
                Rc::clone(&self.shared),
                Rc::clone(&self.admission),
            )));
        }
        Ok(())
    }

    /// Takes on a worker that is starting; `fds` are our ends of its channel.
    pub(super) fn employ(&self, worker: u64, pid: u32, fds: Vec<OwnedFd>) {
        let (memory, ports) = match flupd_channel::gateway::open(fds) {
            Ok(opened) => opened,
            Err(error) => return self.pool().worker_broken(worker, &error.into()),
        };
        let load = Rc::new(Cell::new(0));
        let mut seats = Vec::new();
        for port in ports {
            let (pool, gone) = (Rc::clone(self.pool()), port.gone());
            let seat = Seat::new(worker, port, Rc::clone(&load));
            seats.push(Rc::clone(&seat));
            tokio::task::spawn_local(async move {
                gone.await;
                pool.seat_gone(&seat);
                drop(seat);
                tokio::time::sleep(FAREWELL).await;
                if pool.is_lingering(worker) {
                    let rule = "it closed its ports and does not exit";
                    pool.worker_broken(worker, &ChannelError::Broken(rule));
                }
            });
        }
        self.pool().worker_started(worker, pid, memory, &seats);
    }

    /// Accepts no more, once it has taken what the kernel has accepted already.
    /// Connections end when their requests do.
    pub(super) async fn stop(&mut self) {
        self.shared.stopping.set();
        for listener in self.listeners.drain(..) {
            if let Err(error) = listener.await {
                error!(%error, "a listener failed");
            }
        }
    }

    /// Whether no connection is open.
    pub(super) fn is_empty(&self) -> bool {
        self.admission.open() == 0
    }

    /// Waits until the last connection has closed.
    pub(super) async fn emptied(&self) {
        self.admission.emptied.notified().await;
    }
}

/// Gives memory back that large bodies do not need any more.
async fn tidy(shelf: Shelf) {
    loop {
        tokio::time::sleep(TIDY).await;
        shelf.trim();
    }
}
