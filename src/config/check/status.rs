//! Where the status is told, and to whom.

use std::net::IpAddr;

use toml::Spanned;

use super::Check;
use super::allow::concerns;
use super::listen::DEFAULT_MODE;
use crate::config::address::Address;
use crate::config::mistake::Mistake;
use crate::config::source::{ConfigError, Source};
use crate::config::written::Written;
use crate::config::{Listen, Protocol, SocketConfig};

impl Check<'_> {
    /// The status listener, if one was asked for beside `others`.
    pub(super) fn status(
        &self,
        written: &Written,
        others: &[Listen],
    ) -> Result<Option<Listen>, ConfigError> {
        let Some(given) = &written.status else {
            return match &written.status_allow {
                None => Ok(None),
                Some(allow) => Err(self.at("status-allow", allow, Mistake::StatusAllow)),
            };
        };
        let wrong = |mistake| Err(self.at("status", given, mistake));
        let address = match self.address("status", given)? {
            Address::Unix(path) if matches!(self.source, Source::File { .. }) => {
                let path = path.strip_prefix(".").unwrap_or(&path);
                let path = self.base.join(path);
                self.address(
                    "status",
                    &Spanned::new(given.span(), format!("unix:{}", path.display())),
                )?
            }
            address @ (Address::Unix(_) | Address::Tcp { .. }) => address,
            Address::Fd(_) | Address::Systemd => return wrong(Mistake::StatusAddress),
        };
        if others.iter().any(|other| other.address == address) {
            return wrong(Mistake::Twice(address));
        }
        let allow = self.rules("status-allow", &written.status_allow, &address)?;
        if let (Some(given), Some(rule)) =
            (&written.status_allow, allow.iter().find(|rule| !concerns(rule, &address)))
        {
            return Err(self.at("status-allow", given, Mistake::AllowOther(*rule)));
        }
        if allow.is_empty() && !is_local(&address) {
            return wrong(Mistake::StatusOpen(address));
        }
        let socket = SocketConfig { mode: DEFAULT_MODE, owner: None, group: None };
        let (protocol, apps, roles) = (Protocol::Status, Vec::new(), Vec::new());
        Ok(Some(Listen { protocol, address, socket, apps, default: false, roles, allow }))
    }
}

/// Whether only this machine reaches it.
fn is_local(address: &Address) -> bool {
    match address {
        Address::Tcp { host, .. } => {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        _ => true,
    }
}
