//! The gateway process: everything between a web server's socket and an app
//! thread's port. No Python, no privileges.
//!
//! Life of a request: `listener` accepts → `connection` reads, its `dialect`
//! decodes → `routes` choose its app → `request` assembles, `spool` takes large bodies → `pool` stages
//! it at a `seat` or queues it → the app thread answers into its ring → `line`
//! takes the answer → `outgoing` encodes and writes.

mod access;
mod admission;
mod admit;
mod alarm;
mod app;
mod arriving;
mod aside;
mod asked;
mod canary;
pub(crate) mod cgi;
mod connection;
mod dialect;
pub mod door;
mod ended;
mod entry;
mod exchange;
pub(crate) mod excuse;
mod front;
mod heir;
mod line;
mod linger;
mod listener;
mod open;
mod outgoing;
mod park;
mod pool;
mod reading;
mod recorder;
mod refusal;
mod repeats;
mod request;
mod routes;
mod schedule;
mod seat;
mod seldom;
mod shared;
mod snapshot;
pub mod solo;
mod spans;
mod spool;
mod status;
mod stopping;
mod stream;
mod tally;
mod wake;
mod warden;
mod watch;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, bail};
use flupd_channel::gateway::Bell;
use flupd_channel::observed;
use flupd_channel::probe::Probe;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tracing::debug;

use self::access::AccessLog;
use self::front::Front;
use self::pool::Pool;
use crate::config::{GatewayConfig, GroupId};
use crate::control::{Control, FromGateway, ToGateway};
use crate::observe::access::Format;
use crate::observe::log;

/// Runs the gateway until the supervisor says stop and all is answered, or the
/// supervisor has gone. It logs to `output`, if there is one, else to the supervisor.
///
/// # Errors
/// When the process can't do its work at all; the message is for the
/// administrator.
pub(crate) fn run(control: OwnedFd, output: Option<log::Output>) -> anyhow::Result<()> {
    observed::begin();
    let runtime = runtime().context("the gateway's runtime can't start")?;
    let done = runtime.block_on(serve(control, output));
    // A spool write that still runs has nobody to wait for it.
    runtime.shutdown_background();
    done
}

/// One thread for all that is hot; few others for the disk.
fn runtime() -> std::io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .on_thread_park(park::before_sleep)
        .on_thread_unpark(park::after_sleep)
        .build_local(LocalOptions::default())
}

async fn serve(control: OwnedFd, output: Option<log::Output>) -> anyhow::Result<()> {
    let control = Rc::new(Control::new(control).context("the control socket can't be watched")?);
    let (config, mut fds) = match control.receive().await.context("no configuration came")? {
        Some((ToGateway::Configure(config), fds)) => (config, fds),
        Some((ToGateway::TellStatus(config), fds)) => {
            return aside::serve(&control, config, fds).await;
        }
        Some((other, _)) => bail!("the supervisor began with {other:?} and not a configuration"),
        None => return Ok(()),
    };
    let bell = fds.pop().context("the bell did not come with the configuration")?;
    match output {
        Some(output) => log::start(config.log, output),
        None => start_log(&config, &mut fds)?,
    }
    let access = open_access_log(&config, &mut fds)?;
    schedule::be_patient();
    let _bell = Bell::new(bell).context("the bell can't be watched")?;
    let gateway = Gateway::new(&config, control, access);
    gateway.front.configure(&config, fds)?;
    gateway.control.send(&FromGateway::Listening, &[]).await.context("the supervisor is gone")?;
    gateway.obey().await?;
    gateway.drain().await;
    Ok(())
}

/// Starts to log to the supervisor, by the socket that came last.
fn start_log(config: &GatewayConfig, fds: &mut Vec<OwnedFd>) -> anyhow::Result<()> {
    let socket = fds.pop().context("the log did not come with the configuration")?;
    log::start(config.log, log::Output::socket(socket));
    Ok(())
}

/// Begins the access log, if there is one, by the socket that is last now.
fn open_access_log(
    config: &GatewayConfig,
    fds: &mut Vec<OwnedFd>,
) -> anyhow::Result<Option<Rc<AccessLog>>> {
    let Some(format) = &config.access else { return Ok(None) };
    let socket = fds.pop().context("the access log did not come with the configuration")?;
    let log = AccessLog::new(Format::parse(format)?, socket);
    Ok(Some(log.context("the access log can't be watched")?))
}

struct Gateway {
    control: Rc<Control>,
    front: Rc<Front>,
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
    fn new(config: &GatewayConfig, control: Rc<Control>, access: Option<Rc<AccessLog>>) -> Self {
        let (reports, mut reported) = mpsc::unbounded_channel::<FromGateway>();
        let reporter = Rc::clone(&control);
        tokio::task::spawn_local(async move {
            while let Some(report) = reported.recv().await {
                if let Err(error) = reporter.send(&report, &[]).await {
                    debug!(%error, "the supervisor is gone");
                }
            }
        });
        Self { control, front: Rc::new(Front::new(config, reports, access, Arc::default())) }
    }

    /// Does what the supervisor says, until it says stop or has gone.
    async fn obey(&self) -> anyhow::Result<Obeyed> {
        loop {
            match self.control.receive().await.context("the control socket failed")? {
                None => return Ok(Obeyed::Gone),
                Some((ToGateway::Stop, _)) => return Ok(Obeyed::Stop),
                Some((ToGateway::Configure(_) | ToGateway::TellStatus(_), _)) => {
                    bail!("configured a second time")
                }
                Some((ToGateway::Answer { .. }, _)) => debug!("nobody has asked"),
                Some((ToGateway::Tell { question, frames }, _)) => {
                    self.front.tell(question, frames);
                }
                Some((ToGateway::LogLevel(level), _)) => log::set_level(level),
                Some((ToGateway::Ping, _)) => self.front.report(FromGateway::Pong),
                Some((ToGateway::Inherit, fds)) => {
                    self.front.inherit(fds.into_iter().next().context("no socket came")?)?;
                }
                Some((ToGateway::Bequeath, fds)) => {
                    self.front.bequeath(fds.into_iter().next().context("no socket came")?)?;
                }
                Some((ToGateway::Reconfigure(config), fds)) => {
                    self.front.configure(&config, fds)?;
                    self.front.report(FromGateway::Reconfigured);
                }
                Some((ToGateway::AppAdded { app, config }, _)) => {
                    self.front.introduce(app, &config);
                }
                Some((ToGateway::WorkerStarted { group, worker, pid, probed }, mut fds)) => {
                    let probe = probed.then(|| Probe::split_off(&mut fds)).transpose();
                    let probe = probe.context("a worker's probe did not come")?;
                    self.with_pool(group, |pool| pool.employ(worker, pid, fds, probe));
                }
                Some((ToGateway::WorkerReady { group, worker }, _)) => {
                    self.with_pool(group, |pool| pool.worker_ready(worker));
                }
                Some((ToGateway::CanaryBegins { groups }, _)) => self.front.begin_canary(&groups),
                Some((ToGateway::CanaryEnds, _)) => self.front.end_canary(),
                Some((ToGateway::ProveWorker { group, worker, probe }, _)) => {
                    self.front.prove(group, worker, probe);
                }
                Some((ToGateway::AppUnavailable { group }, _)) => {
                    self.with_pool(group, |pool| pool.app_unavailable());
                }
                Some((ToGateway::AppSleeps { group }, _)) => {
                    self.with_pool(group, |pool| pool.sleeps());
                }
                Some((ToGateway::Workers { group, workers }, _)) => {
                    self.with_pool(group, |pool| pool.set_workers(workers));
                }
                Some((ToGateway::WorkerDrain { group, worker }, _)) => {
                    self.with_pool(group, |pool| pool.drain(worker));
                }
                Some((ToGateway::WorkerExited { group, worker, cause, expected }, _)) => {
                    self.with_pool(group, |pool| pool.worker_exited(worker, &cause, expected));
                    self.front.tidy(group.app);
                }
            }
        }
    }

    /// Does something with the pool of a group, if its app is there.
    fn with_pool(&self, group: GroupId, work: impl FnOnce(&Rc<Pool>)) {
        match self.front.pool(group) {
            Some(pool) => work(&pool),
            None => debug!(?group, "there is no such app any more"),
        }
    }

    /// Finishes what was begun.
    async fn drain(self) {
        self.front.stop().await;
        self.front.report(FromGateway::Closed);
        // Workers go on dying while we drain: that must reach the pool.
        let mut commanded = true;
        while !self.front.is_empty() {
            tokio::select! {
                () = self.front.emptied() => {}
                obeyed = self.obey(), if commanded => {
                    commanded = matches!(obeyed, Ok(Obeyed::Stop));
                }
            }
        }
        self.front.close();
        self.front.finish_log().await;
    }
}
