//! The listeners, and which apps' requests come in there.

use std::path::Path;

use toml::Spanned;

use super::{Check, MAX_LISTENERS, value};
use crate::config::address::{Address, AddressError, MAX_UNIX_PATH};
use crate::config::mistake::Mistake;
use crate::config::source::{ConfigError, Source};
use crate::config::values::Texts;
use crate::config::written::{Given, Written, WrittenListen};
use crate::config::{AppConfig, AppId, Listen, Protocol, Role, SocketConfig, file};

/// Where to listen if nothing is said.
const DEFAULT_SOCKET: &str = "./flupd.sock";
/// The mode of unix sockets if nothing is said.
pub(in crate::config) const DEFAULT_MODE: u32 = 0o660;

impl Check<'_> {
    /// All listeners.
    pub(super) fn listeners(
        &self,
        written: &Written,
        apps: &[AppConfig],
    ) -> Result<Vec<Listen>, ConfigError> {
        let names: Vec<&str> = written.apps.keys().map(|name| name.get_ref().as_str()).collect();
        let claimed: Vec<&str> = written
            .listen
            .iter()
            .flat_map(|listen| listen.get_ref().apps.iter().flatten())
            .map(|name| name.get_ref().as_str())
            .collect();
        // Apps that a listener names are its own.
        let shared: Vec<AppId> = (0..names.len())
            .filter(|&at| names.get(at).is_some_and(|name| !claimed.contains(name)))
            .map(AppId)
            .collect();
        let mut listeners: Vec<Listen> = Vec::new();
        let default = [Spanned::new(0..0, WrittenListen::default())];
        let all = if written.listen.is_empty() { &default[..] } else { &written.listen };
        for one in all {
            let whose = match &one.get_ref().apps {
                Some(own) => {
                    own.iter().map(|name| self.named(name, &names)).collect::<Result<_, _>>()?
                }
                None => shared.clone(),
            };
            let listen = self.listener(one, whose)?;
            // Port 0 is a different one each time.
            let chosen = !matches!(listen.address, Address::Tcp { port: 0, .. });
            if chosen && listeners.iter().any(|other| other.address == listen.address) {
                let key = one.get_ref().address().map_or("fastcgi", |(key, _)| key);
                return Err(self.source.at(
                    key,
                    one.get_ref().span(),
                    Mistake::Twice(listen.address),
                ));
            }
            if listen.apps.is_empty() {
                return Err(self.source.here(one.span(), Mistake::Deaf));
            }
            self.distinct(&listen, written, apps)?;
            listeners.push(listen);
        }
        self.all_concern(&listeners)?;
        if listeners.len() > MAX_LISTENERS {
            return Err(self.source.whole(Mistake::Listeners(listeners.len())));
        }
        for (at, app) in written.apps.values().enumerate() {
            if !listeners.iter().any(|listen| listen.apps.contains(&AppId(at))) {
                return Err(self.source.here(app.span(), Mistake::Unreachable));
            }
        }
        Ok(listeners)
    }

    fn named(&self, name: &Spanned<String>, names: &[&str]) -> Result<AppId, ConfigError> {
        let found = names.iter().position(|one| one == name.get_ref());
        found.map(AppId).ok_or_else(|| {
            let hint = file::hint(name.get_ref(), names.iter().copied(), "there are");
            self.at("apps", name, Mistake::NoSuchApp { name: name.get_ref().clone(), hint })
        })
    }

    fn listener(
        &self,
        written: &Spanned<WrittenListen>,
        apps: Vec<AppId>,
    ) -> Result<Listen, ConfigError> {
        let listen = written.get_ref();
        let from_file = matches!(self.source, Source::File { .. });
        let default = listen.address().is_none() && (!from_file || written.span().is_empty());
        let (protocol, address) = match (&listen.fastcgi, &listen.scgi) {
            _ if default => (Protocol::Fastcgi, Address::Unix(DEFAULT_SOCKET.into())),
            (Some(text), None) => (Protocol::Fastcgi, self.address("fastcgi", text)?),
            (None, Some(text)) => (Protocol::Scgi, self.address("scgi", text)?),
            _ => return Err(self.source.here(written.span(), Mistake::OneProtocol)),
        };
        let address = match address {
            Address::Unix(path) if from_file => self.below(listen, &path)?,
            address => address,
        };
        let socket = SocketConfig {
            mode: value(&listen.mode).map_or(DEFAULT_MODE, |mode| mode.0),
            owner: self.text("owner", &listen.owner, "name a user")?.map(str::to_owned),
            group: self.text("listen.group", &listen.group, "name a group")?.map(str::to_owned),
        };
        if from_file && !matches!(address, Address::Unix(_)) {
            let keys = [
                ("mode", listen.mode.as_ref().map(Spanned::span)),
                ("owner", listen.owner.as_ref().map(Spanned::span)),
                ("group", listen.group.as_ref().map(Spanned::span)),
            ];
            if let Some((key, span)) = keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
                return Err(self.source.at(key, span, Mistake::NotUnix));
            }
        }
        let roles = self.roles(&listen.role)?;
        let allow = self.allowed(&listen.allow, &address)?;
        Ok(Listen { protocol, address, socket, apps, default, roles, allow })
    }

    /// What web servers may ask for: answers, if nothing is said.
    fn roles(&self, written: &Given<Texts>) -> Result<Vec<Role>, ConfigError> {
        let Some(written) = written else { return Ok(vec![Role::default()]) };
        let role = |word: &String| {
            Role::of_name(word).ok_or_else(|| {
                let all = Role::ALL.map(Role::name);
                let near = file::nearest(word, all.into_iter());
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                let all = all.join(", ");
                self.at("role", written, Mistake::UnknownWord { word: word.clone(), all, hint })
            })
        };
        match written.get_ref().0.as_slice() {
            [] => Err(self.at("role", written, Mistake::Empty("name a role, or remove it"))),
            words => words.iter().map(role).collect(),
        }
    }

    pub(super) fn address(
        &self,
        key: &str,
        text: &Spanned<String>,
    ) -> Result<Address, ConfigError> {
        text.get_ref().parse().map_err(|error| {
            self.at(key, text, Mistake::Address { text: text.get_ref().clone(), error })
        })
    }

    /// A socket of which the file says where it stands beside it.
    fn below(&self, listen: &WrittenListen, path: &Path) -> Result<Address, ConfigError> {
        let plain = path.strip_prefix(".").unwrap_or(path);
        let whole = self.base.join(plain);
        match whole.as_os_str().len() {
            long if long > MAX_UNIX_PATH => {
                let (text, error) = (whole.display().to_string(), AddressError::PathTooLong(long));
                let key = listen.address().map_or("fastcgi", |(key, _)| key);
                Err(self.source.at(key, listen.span(), Mistake::Address { text, error }))
            }
            _ => Ok(Address::Unix(whole)),
        }
    }

    /// No two apps have the same host and path behind one listener.
    fn distinct(
        &self,
        listen: &Listen,
        written: &Written,
        apps: &[AppConfig],
    ) -> Result<(), ConfigError> {
        let mut seen: Vec<((&str, &str), AppId)> = Vec::new();
        for id in &listen.apps {
            let Some(app) = apps.get(id.0) else { continue };
            for way in ways(app) {
                let before = seen.iter().find(|(other, whose)| *other == way && whose != id);
                let Some((_, before)) = before else {
                    seen.push((way, *id));
                    continue;
                };
                let other = apps.get(before.0).and_then(|app| app.name.clone()).unwrap_or_default();
                let (host, path) = way;
                let host = if host.is_empty() { "any host" } else { host };
                let what = format!("{host}, {}", if path.is_empty() { "any path" } else { path });
                let address = listen.address.clone();
                let span = written.apps.values().nth(id.0).map(Spanned::span).unwrap_or_default();
                let name = format!("apps.{}", app.name.as_deref().unwrap_or_default());
                let mistake = Mistake::SameRequests { other, what, address };
                return Err(self.source.at(&name, span, mistake));
            }
        }
        Ok(())
    }
}

/// Every pair of host and path of an app; empty ones are any.
fn ways(app: &AppConfig) -> impl Iterator<Item = (&str, &str)> {
    fn or_any(list: &[String]) -> Vec<&str> {
        match list {
            [] => vec![""],
            list => list.iter().map(String::as_str).collect(),
        }
    }
    let prefixes = or_any(&app.prefixes);
    let pairs = move |host| prefixes.clone().into_iter().map(move |prefix| (host, prefix));
    or_any(&app.hosts).into_iter().flat_map(pairs)
}

impl WrittenListen {
    /// The address that is given, and under which key.
    fn address(&self) -> Option<(&'static str, &Spanned<String>)> {
        let fastcgi = self.fastcgi.as_ref().map(|at| ("fastcgi", at));
        fastcgi.or_else(|| self.scgi.as_ref().map(|at| ("scgi", at)))
    }

    /// Where the address stands.
    fn span(&self) -> std::ops::Range<usize> {
        self.address().map(|(_, at)| at.span()).unwrap_or_default()
    }
}
