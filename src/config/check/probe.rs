//! The keys of the request that a new worker must answer.

use super::{Check, value};
use crate::config::ProbeRequest;
use crate::config::mistake::Mistake;
use crate::config::source::ConfigError;
use crate::config::written::WrittenApp;

/// The longest path, in bytes.
const LONGEST: usize = 2048;

impl Check<'_> {
    /// What is asked of a new worker of an app with these hosts, mounted there.
    pub(super) fn probe(
        &self,
        app: &WrittenApp,
        hosts: &[String],
        mount: &str,
    ) -> Result<Option<ProbeRequest>, ConfigError> {
        let Some(given) = &app.probe else {
            let alone = || Mistake::Alone("probe");
            if let Some(host) = &app.probe_host {
                return Err(self.at("probe-host", host, alone()));
            }
            if let Some(timeout) = &app.probe_timeout {
                return Err(self.at("probe-timeout", timeout, alone()));
            }
            return Ok(None);
        };
        if value(&app.solo).copied().unwrap_or(false) {
            let advice = "a solo worker serves by itself, and nobody can ask it first";
            return Err(self.at("probe", given, Mistake::Conflict("solo", advice)));
        }
        let target = given.get_ref();
        let fits = target.len() <= LONGEST && target.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || !target.starts_with('/') || target.contains('#') {
            return Err(self.at("probe", given, Mistake::ProbePath(target.clone())));
        }
        let host = match &app.probe_host {
            None => ProbeRequest::default_host(hosts),
            Some(host) => {
                let name = host.get_ref();
                // With a port, if the app wants to see one.
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
                if name.is_empty() || !name.bytes().all(is_name) {
                    return Err(self.at("probe-host", host, Mistake::ProbeHost(name.clone())));
                }
                name.clone()
            }
        };
        let timeout = value(&app.probe_timeout).map_or(ProbeRequest::TIMEOUT, |time| time.0);
        let script_name = mount.to_owned();
        Ok(Some(ProbeRequest { script_name, target: target.clone(), host, timeout }))
    }
}
