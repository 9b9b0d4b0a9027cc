//! The places of the workers, as many as were asked for.

use std::time::{Duration, Instant};

use super::proof::Asked;
use super::recycle::Due;
use crate::supervisor::backoff::Backoff;

/// Holds one worker at a time.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) occupant: Occupant,
    pub(super) backoff: Backoff,
    /// Whether who is in it now was not the first.
    pub(super) used: bool,
    pub(super) stay: Stay,
    /// Why who is in it shall be replaced when it is its turn.
    pub(super) due: Option<Due>,
    /// Who is asked to answer the probe.
    pub(super) asked: Option<Asked>,
}

/// Whether who is in a place stays there: see [`super::replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    Open,
    /// Until another is ready.
    Leaving,
    /// It gets no more requests since then.
    Drained(Instant),
    /// The same; nobody follows it, and it has all the time that it needs.
    Released,
}

impl Place {
    /// An empty place, to be filled at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            occupant: Occupant::Nobody(now),
            backoff: Backoff::default(),
            used: false,
            stay: Stay::Open,
            due: None,
            asked: None,
        }
    }

    /// Whether somebody is in it, or was.
    pub(super) const fn is_used(&self) -> bool {
        self.used || self.occupant.worker().is_some()
    }
}

/// Who is in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupant {
    /// To be filled at this time.
    Nobody(Instant),
    Starting(u64),
    Ready(u64, Instant),
    /// Killed by us; what follows waits this long after its end.
    Ending(u64, Duration),
    /// The same, because it can't import the app, or does not answer the probe.
    Failed(u64, Duration),
}

impl Occupant {
    /// Its number.
    pub(super) const fn worker(self) -> Option<u64> {
        match self {
            Self::Nobody(_) => None,
            Self::Starting(worker)
            | Self::Ready(worker, _)
            | Self::Ending(worker, _)
            | Self::Failed(worker, _) => Some(worker),
        }
    }

    /// Whether it takes requests.
    pub(super) const fn is_ready(self) -> bool {
        matches!(self, Self::Ready(..))
    }

    /// Whether we have killed it.
    pub(super) const fn is_ending(self) -> bool {
        matches!(self, Self::Ending(..) | Self::Failed(..))
    }
}
