//! What an init system is told: `sd_notify(3)`, where `NOTIFY_SOCKET` asks for it.

use std::time::Duration;

use sd_notify::NotifyState;

use super::notes::Note;

/// Tells systemd how we are.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it wants to hear that we live.
    watchdog: Option<Duration>,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn new() -> Self {
        // Half of the time that it gives: `sd_watchdog_enabled(3)`.
        Self { watchdog: sd_notify::watchdog_enabled().map(|time| time / 2) }
    }

    /// What is news for people may be news for systemd.
    pub(super) fn heed(&self, note: &Note) {
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
            Some(interval) => tokio::time::sleep(interval).await,
            None => std::future::pending().await,
        }
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd can't be told");
    }
}
