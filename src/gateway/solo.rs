//! Solo mode: the gateway and the app in one process, on one thread.
//!
//! The app is a worker as any other, with one app thread; but instead of waking
//! that thread, the gateway runs the request itself: at once while the app is
//! quick, else when it has nothing else to do. There is no hop between processes,
//! and nothing else happens while the app works: for apps that answer fast, and for
//! web servers that send a process one request at a time.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flupd_channel::observed;
use flupd_channel::onlooker::{Crowd, Onlooker};
use flupd_channel::probe::Probe;
use flupd_channel::worker::Pump;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

pub use super::cgi::Cgi;
use super::cgi::Client;
use super::excuse;
use super::front::Front;
use super::warden::Warden;
use super::{open_access_log, park, runtime, schedule};
use crate::config::{GatewayConfig, Protocol, TimeLimits};
use crate::control::PacketSocket;
use crate::observe::log;
use crate::observe::metrics::Metrics;

/// Serve the connections as well that another process passes on.
pub(crate) const INHERIT: &[u8] = b"inherit";

/// How long clients may take to fetch their answers once the app leaves.
const FAREWELL: Duration = Duration::from_secs(5);

/// The app, as the gateway needs it.
pub trait App {
    /// Runs the next staged request to its end. `false` if there is none.
    fn step(&mut self) -> bool;

    /// Whether the app has asked to exit.
    fn leaves(&self) -> bool;
}

thread_local! {
    /// The number of the one worker there is.
    static WORKER: Cell<u64> = const { Cell::new(0) };
    static APP: RefCell<Option<Box<dyn App>>> = const { RefCell::new(None) };
    /// Where requests have time limits.
    static WARDEN: RefCell<Option<Warden>> = const { RefCell::new(None) };
    /// Where the supervisor sees how many wait for this thread.
    static LOOKED_ON: RefCell<Option<(Onlooker, Weak<Front>)>> = const { RefCell::new(None) };
    /// Notified when the app may have asked to exit.
    static LEAVES: Rc<Notify> = Rc::new(Notify::new());
}

/// What the solo process is given.
#[derive(Debug)]
pub struct Solo {
    /// The number of this worker.
    pub worker: u64,
    /// A `GatewayConfig` as JSON.
    pub config: String,
    /// Where requests come from.
    pub peers: Peers,
    /// The gateway's ends of the app's channel, with those of a probe if somebody looks
    /// on, or if [`is_limited`].
    pub ends: Vec<OwnedFd>,
    /// Whether the supervisor looks on, which has duplicates of these ends.
    pub looked_on: bool,
    /// `INHERIT` comes here with a packet socket, or a `LogLevel` as JSON. Whatever else
    /// comes, and the end, mean stop.
    pub orders: OwnedFd,
}

/// Where requests come from.
#[derive(Debug)]
pub enum Peers {
    /// Listening sockets, in the order of the configuration.
    Listeners(Vec<OwnedFd>),
    /// One request.
    Cgi(Cgi),
}

/// Serves until it is told to stop and all is answered, or the app exits.
/// `ready` is called when requests are accepted. The log runs: see [`start_log`].
///
/// # Errors
/// When the process can't do its work at all; the message is for the
/// administrator.
pub fn run(solo: Solo, app: Box<dyn App>, ready: impl FnOnce()) -> anyhow::Result<()> {
    let runtime = runtime().context("the runtime can't start")?;
    schedule::be_patient();
    APP.set(Some(app));
    let done = runtime.block_on(serve(solo, ready));
    runtime.shutdown_background();
    park::end();
    APP.set(None);
    WARDEN.set(None);
    LOOKED_ON.set(None);
    done
}

/// Starts the log that this `GatewayConfig` describes: the last of `fds`, which
/// is taken away. It leads to the supervisor; without one it is a file.
///
/// # Errors
/// When it is no configuration, or the log is missing.
pub fn start_log(config: &str, fds: &mut Vec<OwnedFd>) -> anyhow::Result<()> {
    let config = parse(config)?;
    if !config.alone {
        return super::start_log(&config, fds);
    }
    let file = fds.pop().context("the log did not come with the configuration")?;
    log::start(config.log, log::Output::File(file.into()));
    Ok(())
}

/// Whether a `GatewayConfig` has limits on the app's time. Then the app has to say
/// where it is: with a probe in its channel.
///
/// # Errors
/// When it is no configuration.
pub fn is_limited(config: &str) -> anyhow::Result<bool> {
    Ok(limits(&parse(config)?).is_some())
}

/// The limits on the app's time.
fn limits(config: &GatewayConfig) -> Option<TimeLimits> {
    let limits = config.apps.values().next()?.limits.time;
    (limits.slow.is_some() || limits.request.is_some()).then_some(limits)
}

fn parse(config: &str) -> anyhow::Result<GatewayConfig> {
    serde_json::from_str(config).context("the configuration can't be read")
}

async fn serve(mut solo: Solo, ready: impl FnOnce()) -> anyhow::Result<()> {
    // Nobody is told of a broken worker: it is this process.
    let (reports, _nobody) = mpsc::unbounded_channel();
    let mut config = parse(&solo.config)?;
    // Off for measurements only: then nothing is noted.
    let onlooker = match (solo.looked_on && observed::is_on(), solo.ends.first()) {
        (true, Some(memory)) => Some(Onlooker::new(memory).context("the memory can't be mapped")?),
        _ => None,
    };
    let limits = limits(&config);
    let mut probe = Vec::new();
    if solo.looked_on || limits.is_some() {
        probe = solo.ends.split_off(solo.ends.len().saturating_sub(Probe::DESCRIPTORS));
    }
    if let Some(limits) = limits {
        let warden = Warden::start(limits, probe, onlooker.clone());
        WARDEN.set(Some(warden.context("the thread for time limits can't be started")?));
        // The pool looks between two requests only.
        for app in config.apps.values_mut() {
            (app.limits.time.slow, app.limits.time.request) = (None, None);
        }
    }
    // The status is told by another process.
    let all = config.listeners.len();
    config.listeners.retain(|listener| listener.protocol != Protocol::Status);
    let told = config.listeners.len() < all;
    let access = match &mut solo.peers {
        Peers::Listeners(sockets) => open_access_log(&config, sockets)?,
        Peers::Cgi(_) => None,
    };
    // One that answers one request would wait for the collector before it ends.
    config.otlp = config.otlp.filter(|_| matches!(solo.peers, Peers::Listeners(_)));
    let metrics = match &onlooker {
        Some(onlooker) => Metrics::on(onlooker.ledger()),
        None => Metrics::default(),
    };
    let front = Rc::new(Front::new(&config, reports, access, Arc::new(metrics)));
    LOOKED_ON.set(onlooker.map(|onlooker| (onlooker, Rc::downgrade(&front))));
    match &mut solo.peers {
        Peers::Listeners(sockets) => front.configure(&config, std::mem::take(sockets))?,
        Peers::Cgi(_) => config.apps.iter().for_each(|(id, app)| front.introduce(*id, app)),
    }
    if told {
        front.set_watched();
    }
    let id = config.apps.keys().next().context("no app is configured")?;
    let pool = front.app(*id).context("the app is not known")?.pool();
    WORKER.set(solo.worker);
    pool.employ(solo.worker, std::process::id(), solo.ends, None);
    pool.worker_ready(solo.worker);
    let orders = PacketSocket::new(solo.orders)?;
    let client = match solo.peers {
        Peers::Listeners(_) => {
            ready();
            tokio::select! {
                told = obey(&orders, &front) => told?,
                () = app_leaves() => {}
            }
            None
        }
        Peers::Cgi(request) => {
            let (stream, client) = request.begin()?;
            front.admit(&config, stream)?;
            ready();
            Some(client)
        }
    };
    front.stop().await;
    while !front.is_empty() && !leaves() {
        tokio::select! {
            () = front.emptied() => {}
            () = app_leaves() => {}
        }
    }
    pool.give_up("the app called sys.exit");
    // Answers that are there still go out.
    while !front.is_empty() && timeout(FAREWELL, front.emptied()).await.is_ok() {}
    front.finish_log().await;
    client.map_or(Ok(()), Client::end)
}

/// Does what it is told, until that is: stop. Then a socket may come with it over
/// which connections are passed on.
async fn obey(orders: &PacketSocket, front: &Rc<Front>) -> anyhow::Result<()> {
    loop {
        // What can't be received means stop as well.
        let Ok(Some((message, fds))) = orders.receive().await else { return Ok(()) };
        let socket = fds.into_iter().next();
        if let Ok(level) = serde_json::from_slice(&message) {
            log::set_level(level);
            continue;
        }
        match (&*message, socket) {
            (INHERIT, Some(socket)) => front.inherit(socket)?,
            (_, Some(socket)) => return front.bequeath(socket),
            (_, None) => return Ok(()),
        }
    }
}

/// Says why there is no app: to the log, and to who waits for an answer. Where nobody
/// reads the log, the first requests on a listening socket are waited for.
pub fn refuse(peers: Peers, config: &str, program: &str, why: &str) {
    tracing::error!(error = %why.replace('\n', "\n    "), "the app can't be imported");
    match peers {
        Peers::Cgi(request) => request.refuse(),
        Peers::Listeners(sockets) if excuse::is_needed() => {
            let told = parse(config).and_then(|config| {
                let listener = config.listeners.first().context("there is no listener")?;
                let socket = sockets.into_iter().next().context("there is no socket")?;
                excuse::tell(socket, listener.protocol, program, why)
            });
            if let Err(error) = told {
                tracing::error!(%error, "the web server can't be told");
            }
        }
        Peers::Listeners(_) => {}
    }
}

/// Says that requests were given up after the time that they had to finish.
pub fn log_late(grace: Duration) {
    let seconds = grace.as_secs_f64();
    tracing::warn!(seconds, "a request is given up: it ran past --graceful-timeout");
}

/// Whether a process looks on at what this thread does.
pub(super) fn is_watched() -> bool {
    LOOKED_ON.with_borrow(Option::is_some)
}

/// Tells it what it can't see: it has to be told before the app runs.
pub(super) fn tell_crowd() {
    LOOKED_ON.with_borrow(|looked_on| {
        let Some((onlooker, front)) = looked_on else { return };
        let (connections, reading) = front.upgrade().map_or((0, 0), |front| front.crowd());
        let mut queued = 0;
        park::with_pools(|pool| queued += pool.count_queued());
        let [connections, reading, queued] = [connections, reading, queued].map(|n| n as u64);
        onlooker.set_crowd(Crowd { connections, reading, queued });
    });
}

/// Waits until the app has asked to exit.
async fn app_leaves() {
    while !leaves() {
        LEAVES.with(Rc::clone).notified().await;
    }
}

fn leaves() -> bool {
    APP.with(|app| app.try_borrow().is_ok_and(|app| app.as_ref().is_some_and(|a| a.leaves())))
}

/// Whether the app runs on this thread.
pub(super) fn is_here() -> bool {
    APP.with(|app| app.try_borrow().map_or(true, |app| app.is_some()))
}

/// Runs one request, if one is staged; `true` if it did.
pub(super) fn step() -> bool {
    let warden = WARDEN.with_borrow(Clone::clone);
    if let Some(warden) = &warden {
        park::with_pools(|pool| {
            if let Some(next) = pool.running().first() {
                warden.begins(next.number(), next.describe(), next.trace());
            }
        });
    }
    let (ran, leaves) = APP.with_borrow_mut(|app| {
        app.as_mut().map_or((false, false), |app| (app.step(), app.leaves()))
    });
    if let Some(warden) = &warden {
        warden.over();
    }
    if leaves {
        LEAVES.with(|leaves| leaves.notify_one());
    }
    ran
}

/// What the app's port calls while the app runs: see
/// [`Port::inline`](flupd_channel::worker::Port::inline).
pub fn pump(what: Pump) {
    let pump = || park::with_pools(|pool| pool.pump(WORKER.get(), what));
    match WARDEN.with_borrow(Clone::clone) {
        Some(warden) => warden.writing(pump),
        None => pump(),
    }
}
