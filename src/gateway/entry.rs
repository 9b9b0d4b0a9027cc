//! What all connections of one listener have in common.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use fastcgi_server::Roles;
use tracing::warn;

use super::admit::Admit;
use super::app::App;
use super::repeats::Repeats;
use super::routes::Routes;
use super::seldom::Seldom;
use crate::config::{AppId, GatewayApp, GatewayConfig, ListenerConfig, Protocol, Role};

/// One listener: what is spoken there, and whose requests come in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) protocol: Protocol,
    /// For people.
    pub(super) address: String,
    pub(super) routes: RefCell<Routes>,
    /// Who may connect.
    pub(super) admit: RefCell<Admit>,
    /// What web servers may ask for here.
    pub(super) roles: Cell<Roles>,
    /// The most bytes of params that any of its apps takes.
    pub(super) params: Cell<usize>,
    /// How many requests its apps take at once, those that wait included.
    pub(super) capacity: Cell<usize>,
    /// What is refused before it has an app.
    pub(super) rejected: Rc<Repeats>,
    /// Whether one request at a time is taken: see [`GatewayConfig::alone`].
    pub(super) alone: bool,
    /// Roles in vain are logged seldom.
    refused: Seldom,
}

impl Entry {
    /// The listener of this configuration, before these apps.
    pub(super) fn new(
        listener: &ListenerConfig,
        config: &GatewayConfig,
        apps: &BTreeMap<AppId, Rc<App>>,
    ) -> Rc<Self> {
        let entry = Self {
            protocol: listener.protocol,
            address: listener.address.clone(),
            routes: RefCell::new(Routes::new([])),
            admit: RefCell::new(Admit::new(&[])),
            rejected: Rc::default(),
            alone: config.alone,
            roles: Cell::new(Roles::NONE),
            params: Cell::default(),
            capacity: Cell::default(),
            refused: Seldom::default(),
        };
        entry.reconfigure(listener, config, apps);
        Rc::new(entry)
    }

    /// What is configured for it now. Requests that have an app keep it.
    pub(super) fn reconfigure(
        &self,
        listener: &ListenerConfig,
        config: &GatewayConfig,
        apps: &BTreeMap<AppId, Rc<App>>,
    ) {
        let whose = |id: &AppId| Some((apps.get(id)?, config.apps.get(id)?));
        let own: Vec<(&Rc<App>, &GatewayApp)> = listener.apps.iter().filter_map(whose).collect();
        let capacity = own.iter().map(|(_, app)| app.concurrency + app.limits.queue).sum();
        self.capacity.set(capacity);
        self.params.set(own.iter().map(|(_, app)| app.limits.params).max().unwrap_or(0));
        self.admit.replace(Admit::new(&listener.allow));
        let roles = listener.roles.iter();
        self.roles.set(roles.fold(Roles::NONE, |roles, &role| roles.with(role.into())));
        let routes = own.into_iter().map(|(app, config)| (Rc::clone(app), config));
        self.routes.replace(Routes::new(routes));
    }

    /// Says which role a web server has asked for in vain. `peer` is that web server.
    pub(super) fn refuse_role(&self, role: u16, peer: &str) {
        self.refused.say(|and_before| match Role::of_number(role).map(Role::name) {
            Some(role) => warn!(
                peer,
                role, and_before, "request refused: its role is for apps with this --role only"
            ),
            None => {
                warn!(peer, role, and_before, "request refused: FastCGI has no role of this number")
            }
        });
    }

    /// Whether it stands for this listener.
    pub(super) fn is(&self, listener: &ListenerConfig) -> bool {
        self.protocol == listener.protocol && self.address == listener.address
    }
}
