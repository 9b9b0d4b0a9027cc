//! The keys about users and rights.

use std::ops::{Range, RangeInclusive};

use rustix::process::{Resource, getegid, geteuid, getrlimit};

use super::{Check, value};
use crate::config::mistake::Mistake;
use crate::config::privileges::{Identity, Privileges, ResourceLimits, Unknown};
use crate::config::source::ConfigError;
use crate::config::values::Bound;
use crate::config::written::{Given, Written, WrittenApp};

/// Who the gateway runs as if nothing is said.
const NOBODY: &str = "nobody";
/// The least `rlimit-nofile`: Python and a channel of a few threads fit.
const FILES: RangeInclusive<u64> = 64..=u64::MAX;

/// The least that a worker can be: who it is, when flupd is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Power {
    /// flupd is not root, and can't run anything as someone else.
    Ordinary,
    /// flupd is root: each app has to say who it runs as.
    Root,
    /// flupd is root because who started it wanted this process to be.
    RootAsStarted,
}

impl Power {
    /// What this process may.
    pub(super) fn of_this_process() -> Self {
        if geteuid().is_root() { Self::Root } else { Self::Ordinary }
    }
}

impl Check<'_> {
    /// What the gateway is started with.
    pub(super) fn gateway_privileges(&self, written: &Written) -> Result<Privileges, ConfigError> {
        let (user, group) = (&written.gateway_user, &written.gateway_group);
        let identity = match (user, self.power) {
            (None, Power::Root) if group.is_none() => Identity::find(NOBODY, None).ok(),
            _ => self.identity("gateway-user", user, "gateway-group", group)?,
        };
        if identity.is_none() && self.power == Power::Root {
            return Err(self.source.at("gateway-user", 0..0, Mistake::NoNobody));
        }
        Ok(Privileges { identity, no_new_privs: true, ..Privileges::default() })
    }

    /// What the workers of an app are started with.
    pub(super) fn privileges(
        &self,
        app: &WrittenApp,
        span: Range<usize>,
    ) -> Result<Privileges, ConfigError> {
        let identity = self.identity("user", &app.user, "group", &app.group)?;
        if identity.is_none() && self.power == Power::Root {
            return Err(self.source.at("user", span, Mistake::NoUser));
        }
        let files = self.bound("rlimit-nofile", &app.rlimit_nofile, Resource::Nofile)?;
        if let (Some(given), Some(files)) = (&app.rlimit_nofile, files)
            && !FILES.contains(&files)
        {
            return Err(self.at("rlimit-nofile", given, Mistake::FewFiles(files)));
        }
        let default = identity.as_ref().is_some_and(|identity| identity.uid != 0);
        Ok(Privileges {
            umask: value(&app.umask).map(|mode| mode.0),
            limits: ResourceLimits {
                nofile: files,
                core: self.bound("rlimit-core", &app.rlimit_core, Resource::Core)?,
                address_space: self.bound("rlimit-as", &app.rlimit_as, Resource::As)?,
            },
            no_new_privs: value(&app.no_new_privs).copied().unwrap_or(default),
            identity,
        })
    }

    fn identity(
        &self,
        user_key: &str,
        user: &Given<String>,
        group_key: &str,
        group: &Given<String>,
    ) -> Result<Option<Identity>, ConfigError> {
        let name = self.text(user_key, user, "name a user, such as www-data")?;
        let group_name = self.text(group_key, group, "name a group, such as www-data")?;
        let (Some(given), Some(name)) = (user, name) else {
            return match group {
                Some(group) => Err(self.at(group_key, group, Mistake::GroupAlone)),
                None => Ok(None),
            };
        };
        let identity =
            Identity::find(name, group_name).map_err(|unknown| match (unknown, group) {
                (Unknown::Group, Some(group)) => {
                    self.at(group_key, group, Mistake::UnknownGroup(group.get_ref().clone()))
                }
                (Unknown::NoGroup, _) => {
                    self.at(user_key, given, Mistake::NoGroup(name.to_owned()))
                }
                _ => self.at(user_key, given, Mistake::UnknownUser(name.to_owned())),
            })?;
        if self.power != Power::Ordinary {
            return Ok(Some(identity));
        }
        let own = (geteuid().as_raw(), getegid().as_raw());
        match (identity.uid, identity.gid) == own {
            // It is so already.
            true => Ok(None),
            false => Err(self.at(user_key, given, Mistake::NotRoot(name.to_owned()))),
        }
    }

    /// A bound that can be set.
    fn bound(
        &self,
        key: &str,
        given: &Given<Bound>,
        resource: Resource,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(given) = given else { return Ok(None) };
        let Bound(asked) = *given.get_ref();
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        if self.power == Power::Ordinary && asked > most {
            return Err(self.at(key, given, Mistake::Bound { most }));
        }
        Ok(Some(asked))
    }
}
