//! What an init system is told: `sd_notify(3)`, where `NOTIFY_SOCKET` asks for it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::notes::Note;

/// How long a gateway may be silent where systemd has no watchdog.
const PATIENCE: Duration = Duration::from_secs(30);

/// And wherever it has one: a busy machine is no reason to end it.
const LEAST: Duration = Duration::from_secs(5);

/// Tells systemd how we are.
#[derive(Debug)]
pub(super) struct Systemd {
    /// How often it wants to hear that we live, and when next.
    watchdog: Option<(Duration, Instant)>,
    /// Whether another process speaks with it now.
    silent: bool,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn new() -> Self {
        // Half of the time that it gives: `sd_watchdog_enabled(3)`.
        let watchdog = sd_notify::watchdog_enabled().map(|time| (time / 2, Instant::now()));
        Self { watchdog, silent: false }
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

    /// How long a gateway may be silent: as long as we may.
    pub(super) fn patience(&self) -> Duration {
        self.watchdog.map_or(PATIENCE, |(interval, _)| LEAST.max(interval * 2))
    }

    /// Waits until systemd wants to hear from us again, and tells it if all is well.
    /// May be dropped while it waits: the time goes on.
    pub(super) async fn watchdog(&mut self, well: bool) {
        match &mut self.watchdog {
            Some((interval, next)) if !self.silent => {
                tokio::time::sleep_until(*next).await;
                *next = Instant::now() + *interval;
            }
            _ => std::future::pending().await,
        }
        if well {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other news came more often than the watchdog was due, and it never was.
    #[tokio::test]
    async fn other_news_do_not_put_off_the_watchdog() {
        let interval = Duration::from_millis(50);
        let watchdog = Some((interval, Instant::now() + interval));
        let mut systemd = Systemd { watchdog, silent: false };
        let fed = async {
            loop {
                tokio::select! {
                    () = systemd.watchdog(true) => return,
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), fed).await.unwrap();
    }

    #[test]
    fn a_gateway_has_as_long_as_we_have() {
        let patience = |seconds| {
            let interval = Duration::from_secs(seconds) / 2;
            Systemd { watchdog: Some((interval, Instant::now())), silent: false }.patience()
        };
        assert_eq!([patience(1), patience(60)].map(|time| time.as_secs()), [5, 60]);
        assert_eq!(Systemd { watchdog: None, silent: false }.patience(), PATIENCE);
    }
}
