//! Solo mode: the gateway and the app in one process, on one thread.
//!
//! The app is a worker as any other, with one app thread; but instead of waking
//! that thread, the gateway runs the request itself when it has nothing else to
//! do. There is no hop between processes, and nothing else happens while the app
//! works: for apps that answer fast, and for web servers that send a process one
//! request at a time.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use flupd_channel::worker::Pump;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::front::Front;
use super::{park, runtime, start_log};
use crate::config::{AppId, GatewayConfig};

/// The one app there is.
const APP_ID: AppId = AppId(0);

/// The number of the one worker there is.
const WORKER: u64 = 1;

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
    static APP: RefCell<Option<Box<dyn App>>> = const { RefCell::new(None) };
    /// Notified when the app may have asked to exit.
    static LEAVES: Rc<Notify> = Rc::new(Notify::new());
}

/// What the solo process is given.
#[derive(Debug)]
pub struct Solo {
    /// A `GatewayConfig` as JSON.
    pub config: String,
    /// The listening sockets, in the order of the configuration, and the log.
    pub listeners: Vec<OwnedFd>,
    /// The gateway's ends of the app's channel.
    pub ends: Vec<OwnedFd>,
    /// The socket to the supervisor: whatever it says, and its end, mean stop.
    pub supervisor: OwnedFd,
}

/// Serves until the supervisor says stop and all is answered, or the app exits.
/// `ready` is called when connections are accepted.
///
/// # Errors
/// When the process can't do its work at all; the message is for the
/// administrator.
pub fn run(solo: Solo, app: Box<dyn App>, ready: impl FnOnce()) -> anyhow::Result<()> {
    let runtime = runtime().context("the runtime can't start")?;
    APP.set(Some(app));
    let done = runtime.block_on(serve(solo, ready));
    runtime.shutdown_background();
    park::end();
    APP.set(None);
    done
}

async fn serve(mut solo: Solo, ready: impl FnOnce()) -> anyhow::Result<()> {
    let config: GatewayConfig =
        serde_json::from_str(&solo.config).context("the configuration can't be read")?;
    start_log(&config, &mut solo.listeners)?;
    // Nobody is told of a broken worker: it is this process.
    let (reports, _nobody) = mpsc::unbounded_channel();
    let mut front = Front::new(&config, reports);
    let pool = Rc::clone(front.pool(APP_ID)?);
    pool.employ(WORKER, std::process::id(), solo.ends);
    pool.worker_ready(WORKER);
    let supervisor = std::os::unix::net::UnixStream::from(solo.supervisor);
    supervisor.set_nonblocking(true)?;
    let supervisor = UnixStream::from_std(supervisor)?;
    front.listen(&config, solo.listeners)?;
    ready();
    tokio::select! {
        _ = supervisor.readable() => {}
        () = app_leaves() => {}
    }
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
    Ok(())
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
    let (ran, leaves) = APP.with_borrow_mut(|app| {
        app.as_mut().map_or((false, false), |app| (app.step(), app.leaves()))
    });
    if leaves {
        LEAVES.with(|leaves| leaves.notify_one());
    }
    ran
}

/// What the app's port calls while the app runs: see
/// [`Port::inline`](flupd_channel::worker::Port::inline).
pub fn pump(what: Pump) {
    park::with_pools(|pool| pool.pump(WORKER, what));
}
