//! How long a connection waits for its peer, and what becomes of it then.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::{Close, Connection};
use crate::gateway::refusal::Refusal;

/// How long a new connection may take to say something once flupd is stopping.
const STOPPING_PATIENCE: Duration = Duration::from_secs(1);

impl Connection {
    /// Until when no further request is read, so that the connection can be passed
    /// on when those end that are open.
    pub(super) fn pause(&self) -> Option<Instant> {
        let heir = self.shared.stopping.heir.get()?;
        let between = !self.open.is_empty() && self.line.borrow().dialect.is_between_requests();
        if between { heir.pause(Instant::now()) } else { None }
    }

    /// Until when the peer has to do something; `None` while it is our turn.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (timeouts, line) = (&self.shared.timeouts, self.line.borrow());
        if !line.out.is_empty() {
            Some(line.last_write + timeouts.write)
        } else if self.is_receiving() || !line.dialect.is_idle() && self.open.is_empty() {
            Some(self.last_read + timeouts.read)
        } else if !self.open.is_empty() {
            None
        } else if self.shared.stopping.is_set() {
            Some(self.last_read.max(line.last_write) + STOPPING_PATIENCE)
        } else if self.served {
            Some(line.last_write + timeouts.keep)
        } else {
            Some(self.last_read + timeouts.read)
        }
    }

    /// The alarm has rung. It is only ever set earlier, so there may be time
    /// left; `Some` ends the connection.
    pub(super) fn too_late(&mut self) -> Option<Close> {
        let now = Instant::now();
        let deadline = self.deadline();
        let next = deadline.filter(|&deadline| deadline > now);
        self.alarm.set(next.unwrap_or(now + self.shared.timeouts.keep));
        if deadline.is_none() || next.is_some() {
            return None;
        }
        let timeouts = &self.shared.timeouts;
        if !self.line.borrow().out.is_empty() {
            let seconds = timeouts.write.as_secs();
            info!(peer = self.peer, seconds, "connection closed: the peer takes no answer");
            return Some(Close::Drop);
        }
        let mut refused = false;
        for open in self.open.iter_mut().filter(|open| open.is_receiving()) {
            let seconds = timeouts.read.as_secs();
            let why = format!("no byte from {} for {seconds} s (--read-timeout)", self.peer);
            open.give_up(Refusal::timed_out(why), &self.wake);
            refused = true;
        }
        if refused {
            return None;
        }
        debug!(peer = self.peer, "connection closed: idle");
        Some(Close::Linger)
    }
}
