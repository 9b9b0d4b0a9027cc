//! The listeners, the connections and the apps behind them.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use anyhow::{Context, bail};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::error;

use super::app::App;
use super::entry::Entry;
use super::listener::{self, Admission, Listener};
use super::park;
use super::pool::Pool;
use super::shared::Shared;
use super::stopping::Stopping;
use super::stream::Stream;
use crate::config::{AppId, GatewayConfig};
use crate::control::FromGateway;

/// Descriptors that are not connections: control, log, spool files, ports.
const RESERVED_FDS: usize = 64;

/// Everything between the listening sockets and the app threads.
pub(super) struct Front {
    shared: Rc<Shared>,
    apps: Vec<Rc<App>>,
    admission: Rc<Admission>,
    listeners: Vec<JoinHandle<()>>,
}

impl Front {
    /// Nothing listens yet, and nobody works. Reports go to the supervisor.
    pub(super) fn new(config: &GatewayConfig, reports: UnboundedSender<FromGateway>) -> Self {
        let app = |(at, app)| App::new(AppId(at), app, config.limits.body_memory, reports.clone());
        let apps: Vec<_> = config.apps.iter().enumerate().map(app).collect();
        park::serve(apps.iter().map(|app| Rc::clone(&app.pool)).collect());
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let fds = fds.and_then(|fds| usize::try_from(fds).ok()).unwrap_or(usize::MAX);
        let threads: usize = config.apps.iter().map(|app| app.concurrency).sum();
        // Beside its connection a spooled body needs a descriptor, and a client
        // that reads slowly another.
        let connections = fds.saturating_sub(threads + RESERVED_FDS) / 3;
        let (limits, timeouts) = (config.limits, config.timeouts);
        let (buffers, stopping) = (RefCell::default(), Stopping::default());
        Self {
            shared: Rc::new(Shared { limits, timeouts, buffers, stopping }),
            apps,
            admission: Admission::new(connections.max(16)),
            listeners: Vec::new(),
        }
    }

    /// The workers of an app and their queue.
    ///
    /// # Errors
    /// When there is no such app.
    pub(super) fn pool(&self, app: AppId) -> anyhow::Result<&Rc<Pool>> {
        self.apps.get(app.0).map(|app| &app.pool).context("there is no such app")
    }

    /// Accepts on these sockets, which are in the order of their configurations.
    ///
    /// # Errors
    /// When one can't be used; the message is for the administrator.
    pub(super) fn listen(
        &mut self,
        config: &GatewayConfig,
        sockets: Vec<OwnedFd>,
    ) -> anyhow::Result<()> {
        let configs = &config.listeners;
        if configs.len() != sockets.len() {
            bail!("{} listeners are configured and {} came", configs.len(), sockets.len());
        }
        for (listener, socket) in configs.iter().zip(sockets) {
            let entry = Entry::new(listener, config, &self.apps);
            let listener = Listener::new(socket)
                .with_context(|| format!("can't accept on {}", entry.address))?;
            self.listeners.push(tokio::task::spawn_local(listener::run(
                listener,
                entry,
                Rc::clone(&self.shared),
                Rc::clone(&self.admission),
            )));
        }
        Ok(())
    }

    /// Serves a connection that exists already as one of the first listener.
    ///
    /// # Errors
    /// When there is none, or the runtime can't watch the connection.
    pub(super) fn admit(&self, config: &GatewayConfig, stream: UnixStream) -> anyhow::Result<()> {
        let listener = config.listeners.first().context("no listener is configured")?;
        let entry = Entry::new(listener, config, &self.apps);
        stream.set_nonblocking(true)?;
        let stream = Stream::new(stream.into())?;
        self.admission.admit(stream, &entry, "CGI", &self.shared);
        Ok(())
    }

    /// No worker gets more requests: the gateway is done.
    pub(super) fn close(&self) {
        self.apps.iter().for_each(|app| app.pool.close());
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
