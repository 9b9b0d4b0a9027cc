//! The signals by which an administrator, or an init system, tells the supervisor
//! what to do.

use std::io;
use std::pin::pin;
use std::task::{Context, Waker};

use nix::sys::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SigSet};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::decide::Event;

/// Has our signals wait until there is someone to take them: one that comes at
/// the very start shall not leave a socket behind.
///
/// # Errors
/// What `pthread_sigmask(3)` reports.
pub(super) fn hold() -> io::Result<Held> {
    let held: SigSet = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2].into_iter().collect();
    held.thread_block()?;
    Ok(Held(held))
}

/// The signals that wait.
pub(super) struct Held(SigSet);

/// Takes signals.
pub(super) struct Signals {
    stop: [Signal; 3],
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// Takes signals from now on, also those that have waited.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(super) fn release(held: &Held) -> io::Result<Self> {
        let signals = Self {
            stop: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
            ],
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        };
        held.0.thread_unblock()?;
        Ok(signals)
    }

    /// Waits for the next one that means something.
    pub(super) async fn next(&mut self) -> Event {
        let Self { stop, hang_up, user_1, user_2 } = self;
        tokio::select! {
            () = stopped(stop) => Event::Signal,
            _ = hang_up.recv() => Event::ReloadWanted,
            _ = user_1.recv() => Event::ReopenLogs,
            _ = user_2.recv() => Event::UpgradeWanted,
        }
    }

    /// The end: further signals wait for who comes after us. Whether one that means
    /// stop has come before.
    pub(super) async fn close(mut self) -> bool {
        // Where that fails, one that comes now is lost.
        let _ = hold();
        // The runtime looks for those that have come.
        tokio::task::yield_now().await;
        let stopped = pin!(stopped(&mut self.stop));
        stopped.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Waits for one that means: stop. Others wait.
    pub(super) async fn stop(&mut self) {
        stopped(&mut self.stop).await;
    }
}

async fn stopped([terminate, interrupt, quit]: &mut [Signal; 3]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
}
