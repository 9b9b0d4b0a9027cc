//! Two generations of an app side by side: the new one gets a share of the
//! requests, and it is counted how both do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::park;
use super::pool::Pool;
use crate::config::Share;
use crate::observe::figures::Figures;
use crate::observe::metrics::Ending;

/// A new generation beside the one that serves.
#[derive(Debug)]
pub(super) struct Canary {
    /// Who runs it.
    pub(super) pool: Rc<Pool>,
    share: Share,
    /// In thousandths of a request; at a whole one it is the new one's turn.
    turn: Cell<u16>,
}

/// What is counted of one generation since some moment.
#[derive(Debug)]
pub(super) struct Count {
    since: Instant,
    /// So many requests are not timed: threads that are new are slow at first.
    warming: Cell<usize>,
    figures: RefCell<Figures>,
}

impl Canary {
    /// The new generation gets this share from now on.
    pub(super) const fn new(pool: Rc<Pool>, share: Share) -> Self {
        Self { pool, share, turn: Cell::new(0) }
    }

    /// Whether the next request is the new generation's. One whose workers have
    /// all gone gets none.
    pub(super) fn takes(&self) -> bool {
        let turn = self.turn.get() + self.share.0;
        let takes = turn >= 1000;
        self.turn.set(if takes { turn - 1000 } else { turn });
        takes && self.pool.is_serving()
    }
}

impl Count {
    /// Nothing yet. The first `warming` requests are not timed.
    pub(super) fn new(warming: usize) -> Self {
        Self { since: park::now(), warming: Cell::new(warming), figures: RefCell::default() }
    }

    /// A request that arrived then has ended.
    pub(super) fn ended(&self, ending: Ending, arrived: Instant, took: Duration) {
        if arrived < self.since {
            return;
        }
        let mut figures = self.figures.borrow_mut();
        match ending {
            Ending::Answered(5) | Ending::Cut => figures.failed += 1,
            Ending::Answered(_) => figures.answered += 1,
            // Perhaps because it took so long.
            Ending::Cancelled => {}
        }
        match self.warming.get() {
            0 => figures.times.observe(took),
            left => self.warming.set(left - 1),
        }
    }

    /// What has ended, and how long the others, which arrived at these times, have
    /// taken so far: who never answers is known by that.
    pub(super) fn told(&self, open: impl Iterator<Item = Instant>) -> Figures {
        let mut figures = self.figures.borrow().clone();
        let now = Instant::now();
        for arrived in open.filter(|arrived| *arrived >= self.since) {
            figures.times.observe(now.saturating_duration_since(arrived));
        }
        figures
    }
}
