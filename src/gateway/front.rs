//! The listeners, the connections and the apps behind them.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use flupd_channel::packet::MAX_PACKET;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::error;

use super::access::AccessLog;
use super::admission::Admission;
use super::app::App;
use super::asked::{self, Apps};
use super::entry::Entry;
use super::heir::{Heir, Heritage};
use super::listener::{Acceptor, Listener};
use super::pool::Pool;
use super::shared::Shared;
use super::snapshot::snapshot;
use super::spans::Spans;
use super::status::{Source, StatusListener};
use super::stopping::Stopping;
use super::stream::Stream;
use crate::config::{AppId, GatewayApp, GatewayConfig, GroupId, ProbeRequest, Protocol, Share};
use crate::control::FromGateway;
use crate::observe::ids::Ids;
use crate::observe::metrics::Metrics;

/// Descriptors that are not connections: control, log, spool files, ports.
const RESERVED_FDS: usize = 64;

/// The most of a snapshot's JSON: with what stands around it, one message.
const MAX_SNAPSHOT: usize = MAX_PACKET - 1024;

/// How often the supervisor is told how two generations do.
const FIGURES: Duration = Duration::from_millis(500);

/// Everything between the listening sockets and the app threads.
pub(super) struct Front {
    shared: Rc<Shared>,
    apps: Apps,
    reports: UnboundedSender<FromGateway>,
    admission: Rc<Admission>,
    listeners: RefCell<Vec<Listening>>,
    status: RefCell<Vec<StatusListener>>,
}

/// A socket on which connections are accepted.
struct Listening {
    entry: Rc<Entry>,
    /// Told when it accepts no more.
    closed: Rc<Notify>,
    task: JoinHandle<()>,
}

impl Front {
    /// Nothing listens yet, and nobody works. Reports go to the supervisor.
    pub(super) fn new(
        config: &GatewayConfig,
        reports: UnboundedSender<FromGateway>,
        access: Option<Rc<AccessLog>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let fds = fds.and_then(|fds| usize::try_from(fds).ok()).unwrap_or(usize::MAX);
        let threads: usize = config.apps.values().map(|app| app.concurrency).sum();
        // Beside its connection a spooled body needs a descriptor, and a client
        // that reads slowly another.
        let connections = fds.saturating_sub(threads + RESERVED_FDS) / 3;
        let (limits, timeouts) = (config.limits, config.timeouts);
        let (buffers, stopping) = (RefCell::default(), Stopping::default());
        let ids = config.make_ids.then(Ids::default);
        Self {
            admission: Admission::new(connections.max(16), Arc::clone(&metrics)),
            shared: Rc::new(Shared {
                limits,
                timeouts,
                buffers,
                stopping,
                reading: Rc::default(),
                access,
                spans: config.otlp.as_deref().and_then(|otlp| Spans::start(otlp, &metrics)),
                metrics,
                ids,
            }),
            apps: Apps::default(),
            reports,
            listeners: RefCell::default(),
            status: RefCell::default(),
        }
    }

    /// An app.
    pub(super) fn app(&self, id: AppId) -> Option<Rc<App>> {
        self.apps.borrow().get(&id).cloned()
    }

    /// The workers of a generation of an app, and their queue. `None` for an app
    /// that is there no more.
    pub(super) fn pool(&self, group: GroupId) -> Option<Rc<Pool>> {
        Some(self.app(group.app)?.generation(group.generation))
    }

    /// Makes an app known that may have workers from now on.
    pub(super) fn introduce(&self, id: AppId, config: &GatewayApp) {
        let memory = self.shared.limits.body_memory;
        let metrics = || self.shared.metrics.app(id, config.name.as_deref());
        let app = || App::new(id, config, memory, self.reports.clone(), metrics());
        self.apps.borrow_mut().entry(id).or_insert_with(app);
    }

    /// A worker of it has gone; with the last one, so does an app that is not
    /// configured any more.
    pub(super) fn tidy(&self, id: AppId) {
        let gone = self.app(id).is_some_and(|app| app.tidy());
        if gone {
            self.apps.borrow_mut().remove(&id);
            self.shared.metrics.forget(id);
        }
    }

    /// Makes this configuration the one that holds. `sockets` are those of its
    /// listeners that are not there yet, in their order.
    ///
    /// # Errors
    /// When a socket can't be used; the message is for the administrator.
    pub(super) fn configure(
        &self,
        config: &GatewayConfig,
        sockets: Vec<OwnedFd>,
    ) -> anyhow::Result<()> {
        for (id, app) in &config.apps {
            self.introduce(*id, app);
        }
        let apps = self.apps.borrow();
        for (id, app) in &*apps {
            match config.apps.get(id) {
                Some(config) => app.reconfigure(config),
                None => app.retire(),
            }
        }
        let mut sockets = sockets.into_iter();
        let mut before = self.listeners.take();
        let mut now = self.listeners.borrow_mut();
        let mut status_before = self.status.take();
        let mut status = self.status.borrow_mut();
        for listener in &config.listeners {
            if listener.protocol == Protocol::Status {
                let address = &listener.address;
                let open = status_before.iter().position(|open| open.address == *address);
                if let Some(at) = open {
                    let open = status_before.swap_remove(at);
                    open.reconfigure(listener);
                    status.push(open);
                    continue;
                }
                let socket = sockets.next().with_context(|| format!("no socket for {address}"))?;
                let metrics = Arc::clone(&self.shared.metrics);
                let asks = asked::answer(&self.apps, &self.admission, &self.shared.reading);
                let source = Source::Here { metrics, asks };
                let open = StatusListener::start(socket, listener, source);
                status.push(open.with_context(|| format!("can't tell the status on {address}"))?);
            } else if let Some(at) = before.iter().position(|open| open.entry.is(listener)) {
                let open = before.swap_remove(at);
                open.entry.reconfigure(listener, config, &apps);
                now.push(open);
            } else {
                let address = &listener.address;
                let socket = sockets.next().with_context(|| format!("no socket for {address}"))?;
                let entry = Entry::new(listener, config, &apps);
                let socket =
                    Listener::new(socket).with_context(|| format!("can't accept on {address}"))?;
                now.push(self.accept(socket, entry));
            }
        }
        self.shared.metrics.set_watched(!status.is_empty());
        before.iter().for_each(|open| open.closed.notify_one());
        if sockets.next().is_some() {
            bail!("there are more sockets than listeners");
        }
        let retired = apps.keys().filter(|id| !config.apps.contains_key(id)).copied();
        let retired: Vec<_> = retired.collect();
        drop(apps);
        retired.into_iter().for_each(|id| self.tidy(id));
        Ok(())
    }

    /// Serves a connection that exists already as one of the first listener.
    ///
    /// # Errors
    /// When there is none, or the runtime can't watch the connection.
    pub(super) fn admit(&self, config: &GatewayConfig, stream: UnixStream) -> anyhow::Result<()> {
        let listener = config.listeners.first().context("no listener is configured")?;
        let entry = Entry::new(listener, config, &self.apps.borrow());
        stream.set_nonblocking(true)?;
        let stream = Stream::new(stream.into())?;
        self.admission.admit(stream, &entry, "CGI", &self.shared);
        Ok(())
    }

    fn accept(&self, listener: Listener, entry: Rc<Entry>) -> Listening {
        let closed = Rc::new(Notify::new());
        let acceptor = Acceptor {
            listener,
            entry: Rc::clone(&entry),
            shared: Rc::clone(&self.shared),
            admission: Rc::clone(&self.admission),
        };
        let task = tokio::task::spawn_local(acceptor.run(Rc::clone(&closed)));
        Listening { entry, closed, task }
    }

    /// No worker gets more requests: the gateway is done.
    pub(super) fn close(&self) {
        self.apps.borrow().values().for_each(|app| app.close());
    }

    /// Sends the last lines of the access log, and the last spans.
    pub(super) async fn finish_log(&self) {
        if let Some(access) = &self.shared.access {
            access.finish().await;
        }
        if let Some(spans) = &self.shared.spans {
            spans.finish().await;
        }
    }

    /// Accepts no more, once it has taken what the kernel has accepted already.
    /// Connections end when their requests do.
    pub(super) async fn stop(&self) {
        self.shared.stopping.set();
        self.shared.metrics.set_stopping();
        let listeners = self.listeners.take();
        for listening in listeners {
            if let Err(error) = listening.task.await {
                error!(%error, "a listener failed");
            }
        }
    }

    /// Serves what another gateway passes on over this packet socket.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn inherit(self: &Rc<Self>, socket: OwnedFd) -> anyhow::Result<()> {
        let heritage = Heritage::new(socket).context("the heritage can't be watched")?;
        let front = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            while let Some((passed, socket)) = heritage.next().await {
                let Some(front) = front.upgrade() else { return };
                let listeners = front.listeners.borrow();
                let same = |open: &&Listening| {
                    let Entry { protocol, address, .. } = &*open.entry;
                    *protocol == passed.protocol && *address == passed.address
                };
                // On a listener that is there no more, nobody asks for anything.
                let Some(open) = listeners.iter().find(same) else { continue };
                let served = front.admission.inherit(socket, &open.entry, &front.shared);
                if let Err(error) = served {
                    error!(%error, "a connection can't be taken over");
                }
            }
        });
        Ok(())
    }

    /// Passes connections on over this packet socket when flupd stops. The status is
    /// told by the heir from now on.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn bequeath(&self, socket: OwnedFd) -> anyhow::Result<()> {
        let heir = Heir::new(socket).context("the heir can't be watched")?;
        self.status.take();
        // The first one stays.
        let _ = self.shared.stopping.heir.set(heir);
        Ok(())
    }

    /// Tells the supervisor what runs, in a task of its own.
    pub(super) fn tell(&self, question: u64, frames: bool) {
        let pools: Vec<_> = self.apps.borrow().values().flat_map(|app| app.pools()).collect();
        let frames = frames.then_some(Duration::ZERO);
        let (connections, reports) = (self.admission.open(), self.reports.clone());
        let reading = Rc::clone(&self.shared.reading);
        tokio::task::spawn_local(async move {
            let snapshot = snapshot(connections, &reading, &pools, frames).await;
            let snapshot = Box::new(snapshot.within(MAX_SNAPSHOT));
            // Without a supervisor nobody has asked.
            let _ = reports.send(FromGateway::Told { question, snapshot });
        });
    }

    /// These generations get a share of the requests, and the supervisor is told how
    /// they do.
    pub(super) fn begin_canary(&self, groups: &[(GroupId, Share)]) {
        let mut apps = Vec::new();
        for (group, share) in groups {
            if let Some(app) = self.app(group.app) {
                app.begin_canary(group.generation, *share);
                apps.push((group.app, app));
            }
        }
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(FIGURES).await;
                for (app, figures) in apps.iter().map(|(id, app)| (*id, app.figures())) {
                    let Some((old, new)) = figures else { return };
                    let _ = reports.send(FromGateway::Canary { app, old, new });
                }
            }
        });
    }

    /// They get none any more.
    pub(super) fn end_canary(&self) {
        self.apps.borrow().values().for_each(|app| app.end_canary());
    }

    /// Has a worker answer this request, and tells the supervisor what came of it.
    pub(super) fn prove(&self, group: GroupId, worker: u64, probe: ProbeRequest) {
        let Some(pool) = self.pool(group) else { return };
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            let failure = pool.prove(worker, probe).await;
            // It ends with us if it is gone.
            let _ = reports.send(FromGateway::WorkerProved { group, worker, failure });
        });
    }

    /// Tells the supervisor something.
    pub(super) fn report(&self, report: FromGateway) {
        // It ends with us if it is gone.
        let _ = self.reports.send(report);
    }

    /// Somebody looks at what is counted, though nobody asks here.
    pub(super) fn set_watched(&self) {
        self.shared.metrics.set_watched(true);
    }

    /// How many connections there are, and requests that arrive.
    pub(super) fn crowd(&self) -> (usize, usize) {
        (self.admission.open(), self.shared.reading.len())
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
