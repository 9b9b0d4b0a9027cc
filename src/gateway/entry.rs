//! What all connections of one listener have in common.

use std::rc::Rc;

use fastcgi_server::Roles;

use super::admit::Admit;
use super::app::App;
use super::routes::Routes;
use crate::config::{GatewayApp, GatewayConfig, ListenerConfig, Protocol};

/// One listener: what is spoken there, and whose requests come in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) protocol: Protocol,
    /// For people.
    pub(super) address: String,
    pub(super) routes: Routes,
    /// Who may connect.
    pub(super) admit: Admit,
    /// What web servers may ask for here.
    pub(super) roles: Roles,
    /// The most bytes of params that any of its apps takes.
    pub(super) params: usize,
    /// How many requests its apps take at once, those that wait included.
    pub(super) capacity: usize,
    /// Whether one request at a time is taken: see [`GatewayConfig::alone`].
    pub(super) alone: bool,
}

impl Entry {
    /// The listener of this configuration, before these apps, which are in the
    /// order of theirs.
    pub(super) fn new(
        listener: &ListenerConfig,
        config: &GatewayConfig,
        apps: &[Rc<App>],
    ) -> Rc<Self> {
        let whose = |id: &crate::config::AppId| Some((apps.get(id.0)?, config.apps.get(id.0)?));
        let own: Vec<(&Rc<App>, &GatewayApp)> = listener.apps.iter().filter_map(whose).collect();
        let capacity = own.iter().map(|(_, app)| app.concurrency + app.limits.queue).sum();
        let params = own.iter().map(|(_, app)| app.limits.params).max().unwrap_or(0);
        Rc::new(Self {
            protocol: listener.protocol,
            address: listener.address.clone(),
            routes: Routes::new(own.into_iter().map(|(app, config)| (Rc::clone(app), config))),
            roles: listener.roles.iter().fold(Roles::NONE, |roles, &role| roles.with(role.into())),
            admit: Admit::new(&listener.allow),
            params,
            capacity,
            alone: config.alone,
        })
    }
}
