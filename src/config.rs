//! What flupd was asked to do, checked: the form in which every process gets it.

pub mod address;
mod allow;
mod app;
mod canary;
mod check;
mod command_line;
mod control_socket;
mod file;
mod gateway;
mod logs;
mod mistake;
pub mod otlp;
mod privileges;
mod probe;
mod resolved;
mod role;
mod source;
pub mod values;
mod workers;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::address::Address;
pub use self::allow::{Allow, AllowError};
pub use self::app::{AppConfig, AppId, AppLimits, GroupId, PerWorker, TimeLimits};
pub use self::canary::{Canary, Share};
pub use self::check::{MAX_REQUESTS, QUEUE, REQUESTS_JITTER, THREADS};
pub use self::control_socket::{ControlSocket, beside};
pub use self::gateway::{GatewayApp, GatewayConfig, ListenerConfig};
pub use self::privileges::{Identity, Privileges};
pub use self::probe::ProbeRequest;
pub use self::role::Role;
pub use self::workers::Workers;
use crate::observe::logs::LogsConfig;

/// All of one `flupd serve`.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where to listen, and for which apps.
    pub listeners: Vec<Listen>,
    /// The apps. Never empty.
    pub apps: BTreeMap<AppId, AppConfig>,
    /// What the gateway is started with.
    pub privileges: Privileges,
    /// How long running requests may take after a SIGTERM.
    pub graceful_timeout: Duration,
    /// Bounds on what one connection can make us store.
    pub limits: Limits,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// Where it takes orders, if anywhere.
    pub control: Option<ControlSocket>,
    /// How to log.
    pub logs: LogsConfig,
}

impl ServeConfig {
    /// The gateway's part, once it is known which sockets there are. Each app is
    /// served by the generation that `active` says.
    #[must_use]
    pub fn gateway(
        &self,
        listeners: Vec<ListenerConfig>,
        active: impl Fn(AppId) -> u64,
    ) -> GatewayConfig {
        GatewayConfig {
            listeners,
            apps: self.apps().map(|(id, app)| (id, app.gateway(active(id)))).collect(),
            alone: false,
            limits: self.limits,
            timeouts: self.timeouts,
            log: self.logs.form,
            access: self.logs.access.as_ref().map(|access| access.format.clone()),
            make_ids: self.logs.make_ids,
            otlp: self.logs.otlp.clone().map(Box::new),
        }
    }

    /// The app of this number.
    #[must_use]
    pub fn app(&self, id: AppId) -> Option<&AppConfig> {
        self.apps.get(&id)
    }

    /// All apps with their numbers.
    pub fn apps(&self) -> impl Iterator<Item = (AppId, &AppConfig)> {
        self.apps.iter().map(|(id, app)| (*id, app))
    }

    /// Whether the workers serve connections themselves: then there is one app.
    #[must_use]
    pub fn is_solo(&self) -> bool {
        self.apps.values().any(|app| app.solo)
    }

    /// The same with other numbers: an app that was there before, by its name,
    /// keeps the one that it had, and a new one gets one that nobody had.
    #[must_use]
    pub fn renumbered(self, before: &Self) -> Self {
        let mut free = before.apps.keys().max().map_or(0, |id| id.0 + 1);
        let mut number = |app: &AppConfig| {
            let known = before.apps().find(|(_, old)| old.name == app.name);
            known.map_or_else(
                || {
                    free += 1;
                    AppId(free - 1)
                },
                |(id, _)| id,
            )
        };
        let numbers: BTreeMap<AppId, AppId> =
            self.apps.iter().map(|(id, app)| (*id, number(app))).collect();
        let new = |id: AppId| numbers.get(&id).copied().unwrap_or(id);
        let apps = self.apps.into_iter().map(|(id, app)| (new(id), app)).collect();
        let listeners = self.listeners.into_iter().map(|listen| {
            let apps = listen.apps.iter().map(|id| new(*id)).collect();
            Listen { apps, ..listen }
        });
        Self { listeners: listeners.collect(), apps, ..self }
    }
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The protocol spoken there.
    pub protocol: Protocol,
    /// The address.
    pub address: Address,
    /// How a unix socket is made.
    pub socket: SocketConfig,
    /// The apps whose requests come in here.
    pub apps: Vec<AppId>,
    /// Whether nobody asked for it by name.
    pub default: bool,
    /// What web servers may ask for over FastCGI.
    pub roles: Vec<Role>,
    /// Who may connect.
    pub allow: Vec<Allow>,
}

/// Mode and ownership of unix sockets that flupd makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// The file mode.
    pub mode: u32,
    /// The owner, by name or number.
    pub owner: Option<String>,
    /// The group, by name or number.
    pub group: Option<String>,
}

/// The protocol spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// FastCGI 1.0.
    Fastcgi,
    /// SCGI.
    Scgi,
    /// HTTP, for who watches flupd.
    Status,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fastcgi => "fastcgi",
            Self::Scgi => "scgi",
            Self::Status => "status",
        })
    }
}

/// Bounds on what is stored for a connection. Sizes are in bytes. Those of an
/// app are [`AppLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The part of a request body that is held in memory; the rest of a longer
    /// one goes to a temporary file.
    pub body_memory: usize,
    /// What may wait for a slow client, per request, before the app has to wait.
    pub response_memory: usize,
    /// Requests open at once on one FastCGI connection.
    pub requests_per_connection: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_memory: 1 << 20, response_memory: 1 << 20, requests_per_connection: 128 }
    }
}

/// Bounds on waiting for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Silence inside a request that is being received, or before the first one.
    pub read: Duration,
    /// A peer that takes no byte of its answer.
    pub write: Duration,
    /// A kept connection without a request.
    pub keep: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            keep: Duration::from_secs(300),
        }
    }
}
