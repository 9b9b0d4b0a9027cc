//! What an init system is told: `sd_notify(3)`, where `NOTIFY_SOCKET` asks for it.

use std::time::Duration;

use sd_notify::NotifyState;

use super::notes::Note;

/// Tells systemd how we are.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it wants to hear that we live.
    watchdog: Option<Duration>,
    /// Whether another process speaks with it now.
    silent: bool,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn new() -> Self {
        // Half of the time that it gives: `sd_watchdog_enabled(3)`.
        Self { watchdog: sd_notify::watchdog_enabled().map(|time| time / 2), silent: false }
    }

    /// This process is flupd from now on, and not we.
    pub(super) fn hand_over(&mut self, pid: u32) {
        tell(&[NotifyState::MainPid(pid), NotifyState::Status("upgraded")]);
        self.silent = true;
    }

    /// What is news for people may be news for systemd.
    pub(super) fn heed(&self, note: &Note) {
        if self.silent {
            return;
        }
        match note {
            Note::Ready => tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]),
            Note::Reloading => {
                if let Ok(now) = NotifyState::monotonic_usec_now() {
                    tell(&[NotifyState::Reloading, now]);
                }
            }
            Note::Reloaded => tell(&[NotifyState::Ready, NotifyState::Status("reloaded")]),
            Note::ReloadFailed { .. } => {
                tell(&[NotifyState::Ready, NotifyState::Status("the last reload has failed")]);
            }
            Note::Stopping { .. } => tell(&[NotifyState::Stopping]),
            _ => {}
        }
    }

    /// Waits until systemd wants to hear from us again, and tells it.
    pub(super) async fn watchdog(&self) {
        match self.watchdog {
            Some(interval) if !self.silent => tokio::time::sleep(interval).await,
            _ => std::future::pending().await,
        }
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd can't be told");
    }
}
