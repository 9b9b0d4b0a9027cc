//! What all connections have in common.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::access::AccessLog;
use super::ended::Ended;
use super::open::Open;
use super::reading::Reading;
use super::request::Request;
use super::spans::Spans;
use super::stopping::Stopping;
use super::tally::Tally;
use crate::config::{Limits, Timeouts};
use crate::observe::ids::Ids;
use crate::observe::metrics::Metrics;

/// What a connection shares with all others.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    /// Read buffers that nobody uses: an idle connection has none.
    pub(super) buffers: RefCell<Vec<Vec<u8>>>,
    pub(super) stopping: Stopping,
    /// Requests that had to be waited for.
    pub(super) reading: Rc<Reading>,
    pub(super) access: Option<Rc<AccessLog>>,
    /// Makes spans, if there shall be some.
    pub(super) spans: Option<Spans>,
    pub(super) metrics: Arc<Metrics>,
    /// Makes ids for requests that have none, if they shall have one.
    pub(super) ids: Option<Ids>,
}

impl Shared {
    /// Whether requests that are over are told of.
    pub(super) const fn tells(&self) -> bool {
        self.access.is_some() || self.spans.is_some()
    }

    /// Notes of a request that has arrived just now, if they will be needed. The app
    /// will see the place of its span.
    pub(super) fn tally(&self, request: &mut Request) -> Option<Box<Tally>> {
        if !self.tells() {
            return None;
        }
        let place = self.spans.as_ref().and_then(|spans| spans.begin(&mut request.params));
        let costed = self.access.as_ref().is_some_and(|access| access.wants_cost());
        let wanted = self.access.is_some() || place.is_some();
        wanted.then(|| Box::new(Tally::new(costed, place)))
    }

    /// Tells of a request that is over.
    pub(super) fn tell(&self, open: &Open, ended: Ended<'_>) {
        ended.tell(open, |known| {
            if let Some(access) = &self.access {
                access.write(&known.entry);
            }
            if let Some(spans) = &self.spans {
                spans.end(known);
            }
        });
    }
}
