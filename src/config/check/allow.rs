//! Who may connect, as it is written, and as the environment says.

use super::Check;
use crate::config::address::Address;
use crate::config::mistake::Mistake;
use crate::config::source::{ConfigError, Source};
use crate::config::values::Texts;
use crate::config::written::Given;
use crate::config::{Allow, AllowError, Listen, Protocol, ServeConfig};

/// Where the FastCGI specification has the addresses of the web servers that may
/// connect, with commas between them (section 3.2).
pub(super) const WEB_SERVERS: &str = "FCGI_WEB_SERVER_ADDRS";

impl Check<'_> {
    /// The rules for one address.
    pub(super) fn allowed(
        &self,
        written: &Given<Texts>,
        address: &Address,
    ) -> Result<Vec<Allow>, ConfigError> {
        self.rules("allow", written, address)
    }

    /// The same under another key.
    pub(super) fn rules(
        &self,
        key: &str,
        written: &Given<Texts>,
        address: &Address,
    ) -> Result<Vec<Allow>, ConfigError> {
        let Some(written) = written else { return Ok(Vec::new()) };
        let from_file = matches!(self.source, Source::File { .. });
        let rule = |text: &String| {
            let wrong = |mistake| self.at(key, written, mistake);
            let rule = text
                .parse()
                .map_err(|error| wrong(Mistake::Allow { text: text.clone(), error }))?;
            // On the command line a rule is for all addresses that it can be for.
            if from_file && !concerns(&rule, address) {
                return Err(wrong(Mistake::AllowOther(rule)));
            }
            Ok(rule)
        };
        match written.get_ref().0.as_slice() {
            [] => Err(self.at(key, written, Mistake::Empty("name somebody, or remove it"))),
            texts => texts.iter().map(rule).collect(),
        }
    }

    /// Each rule is for some address.
    pub(super) fn all_concern(&self, listeners: &[Listen]) -> Result<(), ConfigError> {
        for rule in listeners.iter().flat_map(|listen| &listen.allow) {
            if !listeners.iter().any(|listen| concerns(rule, &listen.address)) {
                return Err(self.source.at("allow", 0..0, Mistake::AllowOther(*rule)));
            }
        }
        Ok(())
    }
}

/// Whether the peers at this address can fit the rule. What was inherited may be
/// anything.
pub(super) const fn concerns(rule: &Allow, address: &Address) -> bool {
    match address {
        Address::Tcp { .. } => rule.is_network(),
        Address::Unix(_) => !rule.is_network(),
        Address::Fd(_) | Address::Systemd => true,
    }
}

/// Adds what the environment says for FastCGI over TCP, where the configuration
/// does not name any network itself.
pub(super) fn heed_web_servers(
    config: &mut ServeConfig,
    addresses: &str,
) -> Result<(), ConfigError> {
    let parse = |text: &str| {
        text.trim().parse::<Allow>().ok().filter(Allow::is_network).ok_or_else(|| {
            let mistake = Mistake::WebServers { text: text.to_owned(), error: AllowError::Unknown };
            Source::CommandLine.whole(mistake)
        })
    };
    let rules = addresses.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
    let fastcgi = |listen: &&mut Listen| listen.protocol == Protocol::Fastcgi;
    for listen in config.listeners.iter_mut().filter(fastcgi) {
        if !listen.allow.iter().any(Allow::is_network) {
            listen.allow.extend(&rules);
        }
    }
    Ok(())
}
