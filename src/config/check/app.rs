//! The keys of one app.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::{Check, DEFAULT_GRACE, value};
use crate::config::app::Environment;
use crate::config::mistake::Mistake;
use crate::config::source::{ConfigError, Source};
use crate::config::values::{Inherit, Limit, Size, Texts};
use crate::config::written::{Given, Written, WrittenApp};
use crate::config::{AppConfig, AppLimits, PerWorker, TimeLimits, Workers};

/// How many threads a worker can have.
pub const THREADS: RangeInclusive<i64> = 1..=flupd_channel::MAX_THREADS as i64;
/// How many requests can wait.
pub const QUEUE: RangeInclusive<i64> = 0..=1_000_000;
/// After how many requests a worker can be replaced.
pub const MAX_REQUESTS: RangeInclusive<i64> = 1..=1_000_000_000;
/// How many requests more that can be.
pub const REQUESTS_JITTER: RangeInclusive<i64> = 0..=1_000_000_000;
/// The least `max-memory`: less than an interpreter with flupd in it has.
const MIN_MEMORY: u64 = 16 << 20;
/// App threads per worker if nothing is said.
const DEFAULT_THREADS: usize = 4;
/// The least and the most `max-params`: what web servers really send fits, and
/// params are held in memory.
const PARAMS: RangeInclusive<u64> = 1 << 20..=1 << 30;

impl Check<'_> {
    /// One app under its name.
    pub(super) fn app(
        &self,
        name: &Spanned<String>,
        written: &Spanned<WrittenApp>,
        all: &Written,
    ) -> Result<AppConfig, ConfigError> {
        let from_file = matches!(self.source, Source::File { .. });
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if from_file && (name.get_ref().is_empty() || !name.get_ref().chars().all(is_name)) {
            let mistake = Mistake::AppName(name.get_ref().clone());
            return Err(self.source.here(name.span(), mistake));
        }
        let app = written.get_ref();
        let Some(callable) = self.text("app", &app.app, "name the app, such as module:callable")?
        else {
            let mistake = Mistake::Missing("app", "name the app, such as app = \"shop.wsgi\"");
            return Err(self.source.here(written.span(), mistake));
        };
        let privileges = self.privileges(app, written.span())?;
        let mut defaults = Vec::new();
        let solo = self.solo(app)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(1024);
        let (cores, threads) = if solo { (1, 1) } else { (cores, DEFAULT_THREADS) };
        let workers = self.workers(app, cores)?.unwrap_or_else(|| {
            defaults.push("workers");
            Workers::fixed(cores)
        });
        let threads = self.number("threads", &app.threads, &THREADS)?.unwrap_or_else(|| {
            defaults.push("threads");
            threads
        });
        if app.python.is_none() {
            defaults.push("python");
        }
        let chdir =
            app.chdir.as_ref().map(|dir| self.directory("chdir", dir, &self.base, dir.get_ref()));
        let chdir = chdir.transpose()?.or_else(|| from_file.then(|| self.base.clone()));
        let below = chdir.as_deref().unwrap_or(&self.base);
        // On the command line it is meant from where the user stands.
        let python_base = if from_file { below } else { &self.base };
        let (hosts, prefixes) = (self.hosts(&app.host)?, self.prefixes(&app.prefix)?);
        let script_name = self.script_name(&app.script_name)?;
        let mount = script_name.as_ref().or(prefixes.first()).map_or("", String::as_str);
        let probe = self.probe(app, &hosts, mount)?;
        let grace = value(&app.graceful_timeout).or(value(&all.graceful_timeout));
        Ok(AppConfig {
            name: from_file.then(|| name.get_ref().clone()),
            app: callable.to_owned(),
            script: None,
            python: value(&app.python).map(|python| interpreter(python_base, python)),
            path: self.path(&app.path, below)?,
            chdir,
            environment: self.environment(app)?,
            privileges,
            workers,
            threads,
            preload: value(&app.preload).copied().unwrap_or(false),
            solo,
            hosts,
            prefixes,
            script_name,
            probe,
            canary: self.canary(app)?,
            limits: self.limits(app, all)?,
            graceful_timeout: grace.map_or(DEFAULT_GRACE, |grace| grace.0),
            max_age: value(&app.max_age).map(|age| age.0),
            max_memory: self.max_memory(app)?,
            defaults,
        })
    }

    fn solo(&self, app: &WrittenApp) -> Result<bool, ConfigError> {
        let Some(solo) = app.solo.as_ref().filter(|solo| *solo.get_ref()) else { return Ok(false) };
        let preload = value(&app.preload).copied().unwrap_or(false);
        if app.max_requests.is_some() {
            let advice = "requests are counted in the gateway; max-age and max-memory work";
            return Err(self.at("solo", solo, Mistake::Conflict("max-requests", advice)));
        }
        let conflict = match (preload, &app.threads) {
            (true, _) => ("preload", "solo workers import the app one by one"),
            (_, Some(_)) => ("threads", "a solo worker has one thread"),
            _ => return Ok(true),
        };
        Err(self.at("solo", solo, Mistake::Conflict(conflict.0, conflict.1)))
    }

    fn path(&self, given: &Given<Texts>, base: &Path) -> Result<Vec<PathBuf>, ConfigError> {
        let Some(given) = given else { return Ok(Vec::new()) };
        let directories = given.get_ref().0.iter();
        directories.map(|dir| self.directory("path", given, base, Path::new(dir))).collect()
    }

    /// A directory that exists, as an absolute path.
    fn directory<T>(
        &self,
        key: &str,
        given: &Spanned<T>,
        base: &Path,
        path: &Path,
    ) -> Result<PathBuf, ConfigError> {
        let whole = base.join(path);
        let error = match std::fs::metadata(&whole) {
            Ok(found) if found.is_dir() => return Ok(whole),
            Ok(_) => std::io::ErrorKind::NotADirectory.into(),
            Err(error) => error,
        };
        Err(self.at(key, given, Mistake::Directory { path: whole, error }))
    }

    fn environment(&self, app: &WrittenApp) -> Result<Environment, ConfigError> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        let mut environment = Environment::default();
        if let Some(inherit) = &app.inherit_env
            && let Inherit::Only(names) = inherit.get_ref()
        {
            if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
                return Err(self.at("inherit-env", inherit, Mistake::Variable(wrong.clone())));
            }
            environment.inherit = Some(names.clone());
        }
        if let Some(env) = &app.env {
            for (name, text) in env.get_ref() {
                if !is_name(name) {
                    return Err(self.at("env", env, Mistake::Variable(name.clone())));
                }
                if text.contains('\0') {
                    return Err(self.at("env", env, Mistake::NulByte));
                }
            }
            environment.set.clone_from(env.get_ref());
        }
        Ok(environment)
    }

    fn hosts(&self, given: &Given<Texts>) -> Result<Vec<String>, ConfigError> {
        let Some(given) = given else { return Ok(Vec::new()) };
        let host = |text: &String| {
            let name = text.strip_prefix("*.").unwrap_or(text);
            let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let is_v6 = v6.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
            match !name.is_empty() && name.chars().all(fits) || is_v6 {
                true => Ok(text.trim_end_matches('.').to_lowercase()),
                false => Err(self.at("host", given, Mistake::Host(text.clone()))),
            }
        };
        if given.get_ref().0.is_empty() {
            let advice = "name a host, or leave the key out";
            return Err(self.at("host", given, Mistake::Empty(advice)));
        }
        given.get_ref().0.iter().map(host).collect()
    }

    fn prefixes(&self, given: &Given<Texts>) -> Result<Vec<String>, ConfigError> {
        let Some(given) = given else { return Ok(Vec::new()) };
        if given.get_ref().0.is_empty() {
            let advice = "name a path, or leave the key out";
            return Err(self.at("prefix", given, Mistake::Empty(advice)));
        }
        given.get_ref().0.iter().map(|text| self.mount_point("prefix", given, text)).collect()
    }

    fn script_name(&self, given: &Given<String>) -> Result<Option<String>, ConfigError> {
        let given = given.as_ref();
        given.map(|name| self.mount_point("script-name", name, name.get_ref())).transpose()
    }

    /// PEP 3333: SCRIPT_NAME is empty for the root, else begins with a slash and
    /// does not end with one.
    fn mount_point<T>(
        &self,
        key: &str,
        given: &Spanned<T>,
        text: &str,
    ) -> Result<String, ConfigError> {
        let trimmed = text.trim_end_matches('/');
        if text.contains('\0') {
            return Err(self.at(key, given, Mistake::NulByte));
        }
        match trimmed.starts_with('/') || trimmed.is_empty() {
            true => Ok(trimmed.to_owned()),
            false => Err(self.at(key, given, Mistake::MountPoint(text.to_owned()))),
        }
    }

    fn time_limits(&self, app: &WrittenApp, all: &Written) -> Result<TimeLimits, ConfigError> {
        let request = limit(&app.request_timeout, &all.request_timeout);
        if let (Some(grace), None) = (&app.request_grace, request) {
            let alone = Mistake::Alone("request-timeout");
            return Err(self.at("request-grace", grace, alone));
        }
        let grace = value(&app.request_grace).or(value(&all.request_grace));
        Ok(TimeLimits {
            queue: limit(&app.queue_timeout, &all.queue_timeout),
            slow: limit(&app.slow_request, &all.slow_request),
            request,
            grace: grace.map_or(TimeLimits::default().grace, |seconds| seconds.0),
        })
    }

    fn per_worker(&self, app: &WrittenApp) -> Result<Option<PerWorker>, ConfigError> {
        let requests = self.number("max-requests", &app.max_requests, &MAX_REQUESTS)?;
        let key = "max-requests-jitter";
        let jitter = self.number(key, &app.max_requests_jitter, &REQUESTS_JITTER)?;
        match (requests, &app.max_requests_jitter) {
            (Some(requests), _) => {
                let jitter = jitter.unwrap_or(requests / 10);
                Ok(Some(PerWorker { requests: requests as u64, jitter: jitter as u64 }))
            }
            (None, Some(given)) => Err(self.at(key, given, Mistake::Alone("max-requests"))),
            (None, None) => Ok(None),
        }
    }

    fn max_memory(&self, app: &WrittenApp) -> Result<Option<u64>, ConfigError> {
        let Some(given) = &app.max_memory else { return Ok(None) };
        match given.get_ref().0 {
            bytes if bytes < MIN_MEMORY => {
                Err(self.at("max-memory", given, Mistake::Memory(bytes)))
            }
            bytes => Ok(Some(bytes)),
        }
    }

    fn limits(&self, app: &WrittenApp, all: &Written) -> Result<AppLimits, ConfigError> {
        let mut limits = AppLimits {
            time: self.time_limits(app, all)?,
            per_worker: self.per_worker(app)?,
            ..AppLimits::default()
        };
        if let Some(queue) = self.number("queue", &app.queue, &QUEUE)? {
            limits.queue = queue;
        }
        if let Some(body) = &app.max_body {
            let Size(bytes) = *body.get_ref();
            if i64::try_from(bytes).is_err() {
                return Err(self.at("max-body", body, Mistake::Body(bytes)));
            }
            limits.body = bytes;
        }
        if let Some(params) = &app.max_params {
            let Size(bytes) = *params.get_ref();
            limits.params = match usize::try_from(bytes) {
                Ok(fits) if PARAMS.contains(&bytes) => fits,
                _ => return Err(self.at("max-params", params, Mistake::Params(bytes))),
            };
        }
        Ok(limits)
    }
}

/// What an app says of a limit, or else what is said for all.
fn limit(own: &Given<Limit>, all: &Given<Limit>) -> Option<Duration> {
    value(own).or(value(all)).and_then(|limit| limit.0)
}

/// What `python` names: a bare command is looked up on PATH later, unless there
/// is a file or directory of that name.
fn interpreter(base: &Path, python: &Path) -> PathBuf {
    let whole = base.join(python);
    let bare = python.components().count() == 1;
    if bare && !whole.exists() { python.to_owned() } else { whole }
}
