//! The request that a new worker must answer before it gets those of clients.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A GET request for a path of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Where the app is mounted: as a SCRIPT_NAME.
    pub script_name: String,
    /// The path below that, as a client writes it, with a query if there is one.
    pub target: String,
    /// The Host header.
    pub host: String,
    /// How long the answer may take.
    pub timeout: Duration,
}

impl ProbeRequest {
    /// How long the answer may take if nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// The Host header of an app that has these hosts, if nothing is said.
    #[must_use]
    pub fn default_host(hosts: &[String]) -> String {
        let exact = hosts.iter().find(|host| !host.starts_with('*'));
        exact.map_or_else(|| "localhost".to_owned(), Clone::clone)
    }
}
