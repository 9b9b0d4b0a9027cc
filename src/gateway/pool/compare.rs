//! How a generation does, while it is compared with another.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Health, Pool};
use crate::gateway::canary::Count;
use crate::observe::figures::Figures;
use crate::observe::metrics::Ending;

impl Pool {
    /// Whether a worker takes requests.
    pub(in crate::gateway) fn is_serving(&self) -> bool {
        self.health.get() == Health::Serving
    }

    /// How many app threads there are.
    pub(in crate::gateway) fn threads(&self) -> usize {
        self.workers.borrow().values().map(|worker| worker.seats.len()).sum()
    }

    /// What comes from now on is counted; the first `warming` are not timed.
    pub(in crate::gateway) fn count(&self, warming: usize) {
        self.counted.replace(Some(Count::new(warming)));
    }

    /// Nobody compares any more.
    pub(in crate::gateway) fn count_no_more(&self) {
        self.counted.take();
    }

    /// What has been counted.
    pub(in crate::gateway) fn figures(&self) -> Option<Figures> {
        let (workers, queue) = (self.workers.borrow(), self.queue.borrow());
        let seated = workers.values().flat_map(|worker| &worker.seats);
        let fronts = seated.filter_map(|seat| seat.front());
        let open = queue.iter().map(Rc::clone).chain(fronts);
        let open = open.filter(|one| !one.is_internal() && !one.is_cancelled());
        Some(self.counted.borrow().as_ref()?.told(open.map(|one| one.arrived())))
    }

    /// A request that arrived then has ended so.
    pub(in crate::gateway) fn compare(
        &self,
        ending: Ending,
        arrived: Instant,
        since: impl FnOnce(Instant) -> Duration,
    ) {
        if let Some(count) = &*self.counted.borrow() {
            count.ended(ending, arrived, since(arrived));
        }
    }
}
