//! The one timer of a connection.

use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep};

/// A timer that is mostly moved before it rings.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// Whether it knows the task that waits.
    armed: bool,
}

impl Alarm {
    /// Rings at this time.
    pub(super) fn at(deadline: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(deadline)), armed: false }
    }

    /// When it rings.
    pub(super) fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// Rings at this time instead.
    pub(super) fn set(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.armed = false;
    }

    /// Whether it has rung; else the task is woken when it does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        // Once polled, the timer wakes the task by itself.
        self.sleep.is_elapsed()
            || !std::mem::replace(&mut self.armed, true)
                && self.sleep.as_mut().poll(context).is_ready()
    }
}
