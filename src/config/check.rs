//! From what is written to a configuration that holds: every value checked,
//! every default filled in. The same for the file and the command line.

mod allow;
mod app;
mod canary;
mod listen;
mod otlp;
mod privileges;
mod probe;
mod status;
mod workers;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

pub use self::app::{MAX_REQUESTS, QUEUE, REQUESTS_JITTER, THREADS};
pub(super) use self::listen::DEFAULT_MODE;

pub(super) use self::privileges::Power;
use super::mistake::Mistake;
use super::source::{ConfigError, Source};
use super::written::{Given, Written};
use super::{AppId, ControlSocket, Limits, Listen, ListenerConfig, ServeConfig, Timeouts, file};
use crate::cli::ServeArgs;

/// How many apps there can be.
pub(super) const MAX_APPS: usize = 256;
/// How many addresses: their sockets travel to the gateway in one message.
pub(super) const MAX_LISTENERS: usize = 64;
/// How long the gateway's part can be, in bytes: it travels in one message, too.
const MAX_GATEWAY: usize = 64 * 1024;
/// Time for running requests after SIGTERM if nothing is said.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(30);

impl ServeConfig {
    /// What the command line asks for, or the file that it names.
    ///
    /// # Errors
    /// The first mistake in there.
    pub fn read(args: ServeArgs) -> Result<Self, ConfigError> {
        let mut config = Self::read_with(args, Power::of_this_process())?;
        if let Ok(addresses) = std::env::var(allow::WEB_SERVERS) {
            allow::heed_web_servers(&mut config, &addresses)?;
        }
        Ok(config)
    }

    /// Where the flupd of this configuration file takes orders.
    ///
    /// # Errors
    /// The first mistake in the file.
    pub fn control_socket(path: &Path) -> Result<Option<PathBuf>, ConfigError> {
        let (written, source) = file::read(path)?;
        // Who asks need not be who has started it.
        let config = Check::new(&source, Power::RootAsStarted)?.all(&written)?;
        Ok(config.control.map(|control| control.path))
    }

    fn read_with(args: ServeArgs, power: Power) -> Result<Self, ConfigError> {
        match &args.config {
            Some(path) => {
                let (written, source) = file::read(path)?;
                Check::new(&source, power)?.all(&written)
            }
            None => {
                // Who passes a socket there, as web servers do, chose the user.
                let mut addresses = args.fastcgi.iter().chain(&args.scgi);
                let started = power == Power::Root && addresses.any(|address| address == "fd:0");
                let power = if started { Power::RootAsStarted } else { power };
                Check::new(&Source::CommandLine, power)?.all(&args.into())
            }
        }
    }
}

/// Checks what stands in one source.
pub(super) struct Check<'s> {
    source: &'s Source,
    /// The directory from which relative paths are meant.
    pub(super) base: PathBuf,
    power: Power,
    /// Whether this program can export spans.
    pub(super) exports: bool,
}

impl<'s> Check<'s> {
    pub(super) fn new(source: &'s Source, power: Power) -> Result<Self, ConfigError> {
        let here = || {
            std::env::current_dir().map_err(|error| source.whole(Mistake::CurrentDirectory(error)))
        };
        let base = match source {
            Source::CommandLine => here()?,
            Source::File { path, .. } => {
                let directory = path.parent().unwrap_or(Path::new("/"));
                if directory.is_absolute() { directory.to_owned() } else { here()?.join(directory) }
            }
        };
        Ok(Self { source, base, power, exports: cfg!(feature = "opentelemetry") })
    }

    pub(super) fn all(&self, written: &Written) -> Result<ServeConfig, ConfigError> {
        if written.apps.is_empty() {
            return Err(self.source.whole(Mistake::NoApps));
        }
        if written.apps.len() > MAX_APPS {
            return Err(self.source.whole(Mistake::Apps(written.apps.len())));
        }
        let apps = written.apps.iter().map(|(name, app)| self.app(name, app, written));
        let apps = apps.collect::<Result<Vec<_>, _>>()?;
        if let [_, _, ..] = &*apps {
            let mut solo = written.apps.values().filter_map(|app| app.get_ref().solo.as_ref());
            if let Some(solo) = solo.find(|solo| *solo.get_ref()) {
                return Err(self.at("solo", solo, Mistake::SoloOfSeveral));
            }
        }
        let mut listeners = self.listeners(written, &apps)?;
        listeners.extend(self.status(written, &listeners)?);
        let timeouts = Timeouts::default();
        let control = self.control(written, &listeners)?;
        let config = ServeConfig {
            listeners,
            control,
            privileges: self.gateway_privileges(written)?,
            apps: apps.into_iter().enumerate().map(|(at, app)| (AppId(at), app)).collect(),
            graceful_timeout: value(&written.graceful_timeout).map_or(DEFAULT_GRACE, |s| s.0),
            limits: Limits::default(),
            timeouts: Timeouts {
                read: value(&written.read_timeout).map_or(timeouts.read, |s| s.0),
                write: value(&written.write_timeout).map_or(timeouts.write, |s| s.0),
                keep: value(&written.keep_timeout).map_or(timeouts.keep, |s| s.0),
            },
            logs: self.logs(written)?,
        };
        self.fits(&config)?;
        Ok(config)
    }

    /// Where orders are taken; nowhere, if that is said or there is no place.
    fn control(
        &self,
        written: &Written,
        listeners: &[Listen],
    ) -> Result<Option<ControlSocket>, ConfigError> {
        let advice = "name a path, or off";
        let path = match self.text("control", &written.control, advice)? {
            Some("off") => None,
            Some(path) => Some(self.base.join(path.strip_prefix("unix:").unwrap_or(path))),
            None => ControlSocket::default_path(listeners),
        };
        let group = self.text("control-group", &written.control_group, "name a group")?;
        let group = group.map(str::to_owned);
        Ok(path.map(|path| ControlSocket::new(path, group)))
    }

    /// The gateway gets its part in one message.
    fn fits(&self, config: &ServeConfig) -> Result<(), ConfigError> {
        let listener = |listen: &Listen| ListenerConfig {
            protocol: listen.protocol,
            address: listen.address.to_string(),
            apps: listen.apps.clone(),
            roles: listen.roles.clone(),
            allow: listen.allow.clone(),
        };
        let gateway = config.gateway(config.listeners.iter().map(listener).collect(), |_| u64::MAX);
        let length = serde_json::to_vec(&gateway).map_or(usize::MAX, |text| text.len());
        match length {
            long if long > MAX_GATEWAY => Err(self.source.whole(Mistake::TooLarge)),
            _ => Ok(()),
        }
    }

    /// A mistake in this value of this key.
    pub(super) fn at<T>(&self, key: &str, given: &Spanned<T>, mistake: Mistake) -> ConfigError {
        self.source.at(key, given.span(), mistake)
    }

    /// A number in its range, or none.
    fn number(
        &self,
        key: &str,
        given: &Given<i64>,
        range: &RangeInclusive<i64>,
    ) -> Result<Option<usize>, ConfigError> {
        let Some(given) = given else { return Ok(None) };
        let value = *given.get_ref();
        match usize::try_from(value) {
            Ok(number) if range.contains(&value) => Ok(Some(number)),
            _ => {
                let (least, most) = (*range.start(), *range.end());
                Err(self.at(key, given, Mistake::Range { value, least, most }))
            }
        }
    }

    /// Text without a NUL byte that says something, or none.
    fn text<'t>(
        &self,
        key: &str,
        given: &'t Given<String>,
        advice: &'static str,
    ) -> Result<Option<&'t str>, ConfigError> {
        let Some(given) = given else { return Ok(None) };
        match given.get_ref() {
            text if text.is_empty() => Err(self.at(key, given, Mistake::Empty(advice))),
            text if text.contains('\0') => Err(self.at(key, given, Mistake::NulByte)),
            text => Ok(Some(text)),
        }
    }
}

pub(super) fn value<T>(given: &Given<T>) -> Option<&T> {
    given.as_ref().map(Spanned::get_ref)
}

#[cfg(test)]
mod tests;
