//! What all connections have in common.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::access::AccessLog;
use super::reading::Reading;
use super::stopping::Stopping;
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
    pub(super) metrics: Arc<Metrics>,
    /// Makes ids for requests that have none, if they shall have one.
    pub(super) ids: Option<Ids>,
}
