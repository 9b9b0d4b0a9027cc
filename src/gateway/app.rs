//! One app behind the gateway.

use std::rc::Rc;
use std::time::Duration;

use flupd_channel::gateway::Shelf;
use tokio::sync::mpsc::UnboundedSender;

use super::pool::Pool;
use crate::config::{AppId, AppLimits, GatewayApp};
use crate::control::FromGateway;

/// How often memory for bodies is given back that was not used meanwhile.
const TIDY: Duration = Duration::from_secs(5);

/// One app: its workers and what bounds its requests.
#[derive(Debug)]
pub(super) struct App {
    pub(super) pool: Rc<Pool>,
    pub(super) limits: AppLimits,
    /// Where its large bodies are received. Its own: workers keep what they
    /// were given mapped, and those of another app shall not see it.
    pub(super) shelf: Shelf,
}

impl App {
    /// Nobody works for it yet. Up to `memory` bytes of a body are held in
    /// memory; reports go to the supervisor.
    pub(super) fn new(
        id: AppId,
        config: &GatewayApp,
        memory: usize,
        reports: UnboundedSender<FromGateway>,
    ) -> Rc<Self> {
        let pool = Pool::new(id, config.name.clone(), config.limits.queue, reports);
        tokio::task::spawn_local(Rc::clone(&pool).pulse());
        let shelf = Shelf::new(memory);
        tokio::task::spawn_local(tidy(shelf.clone()));
        Rc::new(Self { pool, limits: config.limits, shelf })
    }
}

/// Gives memory back that large bodies do not need any more.
async fn tidy(shelf: Shelf) {
    loop {
        tokio::time::sleep(TIDY).await;
        shelf.trim();
    }
}
