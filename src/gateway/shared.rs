//! What all connections have in common.

use std::cell::RefCell;
use std::rc::Rc;

use flupd_channel::gateway::Shelf;

use super::pool::Pool;
use super::stopping::Stopping;
use crate::config::GatewayConfig;

/// What a connection shares with all others.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: GatewayConfig,
    pub(super) pool: Rc<Pool>,
    /// Read buffers that nobody uses: an idle connection has none.
    pub(super) buffers: RefCell<Vec<Vec<u8>>>,
    /// Where large bodies are received.
    pub(super) shelf: Shelf,
    pub(super) stopping: Stopping,
}
