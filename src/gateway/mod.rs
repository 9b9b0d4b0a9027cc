//! The gateway process: everything between a web server's socket and an app
//! thread's port. No Python, no privileges.
//!
//! Life of a request: `listener` accepts → `connection` reads, its `dialect`
//! decodes → `request` assembles, `spool` takes large bodies → `pool` stages
//! it at a `seat` or queues it → the app thread answers into its ring → `line`
//! takes the answer → `outgoing` encodes and writes.

mod connection;
mod dialect;
mod exchange;
mod line;
mod linger;
mod listener;
mod open;
mod outgoing;
mod park;
mod pool;
mod refusal;
mod request;
mod schedule;
mod seat;
mod spool;
mod stopping;
mod stream;
mod wake;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use flupd_channel::ChannelError;
use flupd_channel::gateway::{Bell, Shelf};
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, error};

use self::connection::Shared;
use self::listener::{Admission, Listener};
use self::pool::Pool;
use self::seat::Seat;
use self::stopping::Stopping;
use crate::config::GatewayConfig;
use crate::control::{Control, FromGateway, ToGateway};
use crate::observe::log;

/// Descriptors that are not connections: control, log, spool files, ports.
const RESERVED_FDS: usize = 64;

/// How long a worker whose ports are closed may take to end its process.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs the gateway until the supervisor says stop and all is answered, or the
/// supervisor has gone.
///
/// # Errors
/// When the process can't do its work at all; the message is for the
/// administrator.
pub(crate) fn run(control: OwnedFd) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .on_thread_park(park::before_sleep)
        .on_thread_unpark(park::after_sleep)
        .build_local(LocalOptions::default())
        .context("the gateway's runtime can't start")?;
    let done = runtime.block_on(serve(control));
    // A spool write that still runs has nobody to wait for it.
    runtime.shutdown_background();
    done
}

async fn serve(control: OwnedFd) -> anyhow::Result<()> {
    let control = Rc::new(Control::new(control).context("the control socket can't be watched")?);
    let (config, mut fds) = match control.receive().await.context("no configuration came")? {
        Some((ToGateway::Configure(config), fds)) => (config, fds),
        Some((other, _)) => bail!("the supervisor began with {other:?} and not a configuration"),
        None => return Ok(()),
    };
    log::start(config.log);
    if let Err(error) = schedule::batch() {
        debug!(%error, "the gateway is scheduled as any other process");
    }
    let bell = fds.pop().context("the bell did not come with the configuration")?;
    let _bell = Bell::new(bell).context("the bell can't be watched")?;
    let mut gateway = Gateway::new(config, control);
    gateway.listen(fds)?;
    gateway.control.send(&FromGateway::Listening, &[]).await.context("the supervisor is gone")?;
    gateway.obey().await?;
    gateway.drain().await;
    Ok(())
}

struct Gateway {
    control: Rc<Control>,
    shared: Rc<Shared>,
    admission: Rc<Admission>,
    listeners: Vec<JoinHandle<()>>,
}

/// Why [`Gateway::obey`] ended.
#[derive(Debug, PartialEq, Eq)]
enum Obeyed {
    /// The supervisor said stop.
    Stop,
    /// The supervisor has gone.
    Gone,
}

impl Gateway {
    fn new(config: GatewayConfig, control: Rc<Control>) -> Self {
        let (reports, mut reported) = mpsc::unbounded_channel::<FromGateway>();
        let pool = Pool::new(config.limits.queue, reports);
        let stopping = Stopping::default();
        let shelf = Shelf::new(config.limits.body_memory);
        park::serve(Rc::clone(&pool));
        tokio::task::spawn_local(Rc::clone(&pool).pulse());
        let reporter = Rc::clone(&control);
        tokio::task::spawn_local(async move {
            while let Some(report) = reported.recv().await {
                if let Err(error) = reporter.send(&report, &[]).await {
                    debug!(%error, "the supervisor is gone");
                }
            }
        });
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let fds = fds.and_then(|fds| usize::try_from(fds).ok()).unwrap_or(usize::MAX);
        // A spooled body needs a second descriptor beside its connection.
        let connections = fds.saturating_sub(config.concurrency + RESERVED_FDS) / 2;
        Self {
            control,
            shared: Rc::new(Shared { config, pool, buffers: RefCell::default(), shelf, stopping }),
            admission: Admission::new(connections.max(16)),
            listeners: Vec::new(),
        }
    }

    fn listen(&mut self, sockets: Vec<OwnedFd>) -> anyhow::Result<()> {
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

    /// Does what the supervisor says, until it says stop or has gone.
    async fn obey(&self) -> anyhow::Result<Obeyed> {
        let pool = &self.shared.pool;
        loop {
            match self.control.receive().await.context("the control socket failed")? {
                None => return Ok(Obeyed::Gone),
                Some((ToGateway::Stop, _)) => return Ok(Obeyed::Stop),
                Some((ToGateway::Configure(_), _)) => bail!("configured a second time"),
                Some((ToGateway::WorkerStarted { worker, pid }, fds)) => {
                    self.employ(worker, pid, fds);
                }
                Some((ToGateway::WorkerReady { worker }, _)) => pool.worker_ready(worker),
                Some((ToGateway::WorkerDrain { worker }, _)) => pool.drain(worker),
                Some((ToGateway::WorkerExited { worker, cause, expected }, _)) => {
                    pool.worker_exited(worker, &cause, expected);
                }
            }
        }
    }

    fn employ(&self, worker: u64, pid: u32, fds: Vec<OwnedFd>) {
        let (memory, ports) = match flupd_channel::gateway::open(fds) {
            Ok(opened) => opened,
            Err(error) => return self.shared.pool.worker_broken(worker, &error.into()),
        };
        let load = Rc::new(Cell::new(0));
        let mut seats = Vec::new();
        for port in ports {
            let (pool, gone) = (Rc::clone(&self.shared.pool), port.gone());
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
        self.shared.pool.worker_started(worker, pid, memory, &seats);
    }

    /// Finishes what was begun.
    async fn drain(mut self) {
        self.shared.stopping.set();
        // The listeners first take what the kernel has accepted already.
        for listener in self.listeners.drain(..) {
            if let Err(error) = listener.await {
                error!(%error, "a listener failed");
            }
        }
        // Workers go on dying while we drain: that must reach the pool.
        let mut commanded = true;
        while self.admission.open() > 0 {
            tokio::select! {
                () = self.admission.emptied.notified() => {}
                obeyed = self.obey(), if commanded => {
                    commanded = matches!(obeyed, Ok(Obeyed::Stop));
                }
            }
        }
        self.shared.pool.close();
    }
}
