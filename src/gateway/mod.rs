//! The gateway process: everything between a web server's socket and an app
//! thread's port. No Python, no privileges.
//!
//! Life of a request: `listener` accepts → `connection` reads, its `dialect`
//! decodes → `request` assembles, `spool` takes large bodies → `pool` finds or
//! awaits an idle seat → `link` carries it to the app thread and the answer
//! back into the `exchange` → `connection` encodes and writes.

mod connection;
mod dialect;
mod exchange;
mod linger;
mod link;
mod listener;
mod pool;
mod refusal;
mod request;
mod spool;
mod stream;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use flupd_channel::gateway::Port;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, error};

use self::connection::Shared;
use self::listener::{Admission, Listener};
use self::pool::Pool;
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
        .build_local(LocalOptions::default())
        .context("the gateway's runtime can't start")?;
    let done = runtime.block_on(serve(control));
    // A spool write that still runs has nobody to wait for it.
    runtime.shutdown_background();
    done
}

async fn serve(control: OwnedFd) -> anyhow::Result<()> {
    let control = Rc::new(Control::new(control).context("the control socket can't be watched")?);
    let (config, sockets) = match control.receive().await.context("no configuration came")? {
        Some((ToGateway::Configure(config), sockets)) => (config, sockets),
        Some((other, _)) => bail!("the supervisor began with {other:?} and not a configuration"),
        None => return Ok(()),
    };
    log::start(config.log);
    let mut gateway = Gateway::new(config, control);
    gateway.listen(sockets)?;
    gateway.control.send(&FromGateway::Listening, &[]).await.context("the supervisor is gone")?;
    gateway.obey().await?;
    gateway.drain().await;
    Ok(())
}

struct Gateway {
    control: Rc<Control>,
    shared: Rc<Shared>,
    admission: Rc<Admission>,
    stopping: watch::Sender<bool>,
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
        let pool = Pool::new(config.limits.queue);
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let fds = fds.and_then(|fds| usize::try_from(fds).ok()).unwrap_or(usize::MAX);
        // A spooled body needs a second descriptor beside its connection.
        let connections = fds.saturating_sub(config.concurrency + RESERVED_FDS) / 2;
        Self {
            control,
            shared: Rc::new(Shared { config, pool }),
            admission: Admission::new(connections.max(16)),
            stopping: watch::Sender::new(false),
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
                self.stopping.subscribe(),
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
                Some((ToGateway::WorkerStarted { worker, pid }, ports)) => {
                    self.employ(worker, pid, ports);
                }
                Some((ToGateway::WorkerReady { worker }, _)) => pool.worker_ready(worker),
                Some((ToGateway::WorkerDrain { worker }, _)) => pool.drain(worker),
                Some((ToGateway::WorkerExited { worker, cause, expected }, _)) => {
                    pool.worker_exited(worker, cause, expected);
                }
            }
        }
    }

    fn employ(&self, worker: u64, pid: u32, ports: Vec<OwnedFd>) {
        let seats = self.shared.pool.worker_started(worker, pid, ports.len());
        for (seat, port) in seats.into_iter().zip(ports) {
            let (pool, control) = (Rc::clone(&self.shared.pool), Rc::clone(&self.control));
            tokio::task::spawn_local(async move {
                let reason = match Port::new(port) {
                    Ok(port) => {
                        link::run(port, seat, Rc::clone(&pool)).await.err().map(|e| e.to_string())
                    }
                    Err(error) => {
                        pool.seat_closed(&seat);
                        Some(format!("its port can't be watched: {error}"))
                    }
                };
                let reason = match reason {
                    Some(reason) => reason,
                    None if pool.is_lingering(worker) => {
                        tokio::time::sleep(FAREWELL).await;
                        if !pool.is_lingering(worker) {
                            return;
                        }
                        "it closed its ports and does not exit".to_owned()
                    }
                    None => return,
                };
                error!(worker, reason, "worker broken");
                let broken = FromGateway::WorkerBroken { worker, reason };
                if let Err(error) = control.send(&broken, &[]).await {
                    debug!(%error, "the supervisor is gone");
                }
            });
        }
    }

    /// Finishes what was begun.
    async fn drain(mut self) {
        self.stopping.send_replace(true);
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
    }
}
