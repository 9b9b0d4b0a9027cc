//! The part of the configuration that the gateway gets. It travels as one
//! message, so it holds nothing that the gateway has no use for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::otlp::Otlp;
use super::{Allow, AppId, AppLimits, Limits, Protocol, Role, Timeouts, Workers};
use crate::observe::log::LogConfig;

/// What the gateway has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// The listeners, in the order in which their sockets are passed.
    pub listeners: Vec<ListenerConfig>,
    /// The apps.
    pub apps: BTreeMap<AppId, GatewayApp>,
    /// Whether this process serves alone, beside others that a web server has
    /// started on the same sockets: then it takes one request at a time.
    pub alone: bool,
    /// Bounds on what one connection can make us store.
    pub limits: Limits,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// How to log.
    pub log: LogConfig,
    /// The format of the access log, if there is one.
    pub access: Option<String>,
    /// Whether requests get ids of which the web server sends none.
    pub make_ids: bool,
    /// Where spans go, if there are any.
    pub otlp: Option<Box<Otlp>>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerConfig {
    /// The protocol spoken on it.
    pub protocol: Protocol,
    /// The address for people: `unix:/path`, `127.0.0.1:9000`, `[::1]:9000`,
    /// `fd:0`, `systemd:http.socket`.
    pub address: String,
    /// The apps whose requests come in here.
    pub apps: Vec<AppId>,
    /// What web servers may ask for over FastCGI.
    pub roles: Vec<Role>,
    /// Who may connect.
    pub allow: Vec<Allow>,
}

/// One app, as the gateway sees it. See [`AppConfig`](super::AppConfig).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayApp {
    /// Which generation takes its requests.
    pub generation: u64,
    /// What it is called in the log; none if it is the only one there can be.
    pub name: Option<String>,
    /// The hosts whose requests are its own; empty: every host.
    pub hosts: Vec<String>,
    /// The paths below which requests are its own; empty: every path.
    pub prefixes: Vec<String>,
    /// The mount point to report.
    pub script_name: Option<String>,
    /// The version of its Python, once that is known.
    pub python: Option<String>,
    /// How many workers it has.
    pub workers: Workers,
    /// How many requests can be inside it at once: workers × threads.
    pub concurrency: usize,
    /// Bounds on its requests.
    pub limits: AppLimits,
}
