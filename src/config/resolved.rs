//! A configuration as a file that says everything: what was given, and what is
//! the default where nothing was.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::address::Address;
use super::check::{DEFAULT_GRACE, DEFAULT_MODE};
use super::logs::ACCESS_FORMAT;
use super::{
    AppConfig, AppId, AppLimits, Canary, ControlSocket, Identity, Listen, Privileges, ProbeRequest,
    Protocol, ServeConfig, Timeouts, Workers,
};
use crate::observe::log::{LogFormat, LogLevel};
use crate::observe::logs::AccessConfig;
use crate::observe::sink::Target;

/// What stands behind a value that nobody has given.
pub(super) const DEFAULT: &str = "  # default";

impl ServeConfig {
    /// The text of a file that means the same wherever it stands. `pythons` are
    /// the interpreters that were found.
    #[must_use]
    pub fn resolved(&self, pythons: &BTreeMap<AppId, PathBuf>) -> String {
        let mut file = File(String::new());
        file.identity("gateway-user", "gateway-group", self.privileges.identity.as_ref());
        file.value("graceful-timeout", seconds(self.graceful_timeout), seconds(DEFAULT_GRACE));
        let (given, default) = (&self.timeouts, Timeouts::default());
        file.value("read-timeout", seconds(given.read), seconds(default.read));
        file.value("write-timeout", seconds(given.write), seconds(default.write));
        file.value("keep-timeout", seconds(given.keep), seconds(default.keep));
        let control = self.control.as_ref();
        let path = |path: Option<&Path>| match path {
            Some(path) => text(&absolute(path)),
            None => "off".into(),
        };
        let default = ControlSocket::default_path(&self.listeners);
        let given = control.map(|control| &*control.path);
        file.value("control", path(given), path(default.as_deref()));
        if let Some(group) = control.and_then(|control| control.socket.group.as_ref()) {
            file.line("control-group", &group.clone().into(), false);
        }
        if let Some(status) = self.listeners.iter().find(|one| one.protocol == Protocol::Status) {
            file.line("status", &whole(&status.address).to_string().into(), false);
            let allow: Vec<String> = status.allow.iter().map(ToString::to_string).collect();
            file.given("status-allow", (!allow.is_empty()).then(|| texts(&allow)));
        }
        file.value("log", target(&self.logs.log), "-".into());
        let form = &self.logs.form;
        file.value("log-level", word(form.level), word(LogLevel::Info));
        file.value("log-format", word(form.format), word(LogFormat::Text));
        if let Some(AccessConfig { to, format }) = &self.logs.access {
            file.line("access-log", &target(to), false);
            file.value("access-log-format", format.clone().into(), ACCESS_FORMAT.into());
        }
        file.value("capture-output", self.logs.capture.into(), true.into());
        file.value("make-request-ids", self.logs.make_ids.into(), false.into());
        if let Some(otlp) = &self.logs.otlp {
            file.line("otlp", &otlp.written.clone().into(), false);
            file.given("otlp-sample", otlp.share.map(|share| share.to_string().into()));
        }
        for listen in &self.listeners {
            file.listen(listen, self);
        }
        for (id, app) in self.apps() {
            file.app(
                &name(self, id),
                app,
                self.graceful_timeout,
                pythons.get(&id).map(PathBuf::as_path),
            );
        }
        file.0
    }
}

fn target(target: &Target) -> Value {
    match target {
        Target::Stdout | Target::Stderr => "-".into(),
        Target::File(path) => text(path),
    }
}

/// The text so far.
struct File(String);

impl File {
    /// One key, and whether its value is the default.
    fn line(&mut self, key: &str, value: &Value, default: bool) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "{key} = {value}{}", if default { DEFAULT } else { "" });
    }

    fn value(&mut self, key: &str, value: Value, default: Value) {
        let is_default = value == default;
        self.line(key, &value, is_default);
    }

    /// A key without a default value: it stands here if it was given.
    fn given(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.line(key, &value, false);
        }
    }

    fn identity(&mut self, user: &str, group: &str, identity: Option<&Identity>) {
        let Some(Identity { name, uid, gid, .. }) = identity else { return };
        self.given(user, Some(name.clone().unwrap_or_else(|| uid.to_string()).into()));
        self.given(group, Some(gid.to_string().into()));
    }

    fn listen(&mut self, listen: &Listen, config: &ServeConfig) {
        let key = match listen.protocol {
            Protocol::Fastcgi => "fastcgi",
            Protocol::Scgi => "scgi",
            Protocol::Status => return,
        };
        self.0.push_str("\n[[listen]]\n");
        let address = whole(&listen.address);
        self.line(key, &address.to_string().into(), listen.default);
        if let Address::Unix(_) = listen.address {
            let mode = |mode: u32| Value::from(format!("{mode:04o}"));
            self.value("mode", mode(listen.socket.mode), mode(DEFAULT_MODE));
            self.given("owner", listen.socket.owner.clone().map(Value::from));
            self.given("group", listen.socket.group.clone().map(Value::from));
        }
        let roles: Vec<String> = listen.roles.iter().map(|role| role.name().to_owned()).collect();
        self.value("role", texts(&roles), "responder".into());
        let allow: Vec<String> = listen.allow.iter().map(ToString::to_string).collect();
        self.given("allow", (!allow.is_empty()).then(|| texts(&allow)));
        let names: Vec<String> = listen.apps.iter().map(|id| name(config, *id)).collect();
        self.line("apps", &list(&names), names.len() == config.apps.len());
    }

    fn app(&mut self, name: &str, app: &AppConfig, grace: Duration, python: Option<&Path>) {
        let _ = write!(self.0, "\n[apps.{name}]\n");
        let is_default = |key| app.defaults.contains(&key);
        self.line("app", &app.app.clone().into(), false);
        if let Some(python) = python.or(app.python.as_deref()) {
            self.line("python", &text(python), is_default("python"));
        }
        let chdir = app.chdir.clone().unwrap_or_else(|| absolute(Path::new("")));
        self.line("chdir", &text(&chdir), false);
        let path: Vec<_> = app.path.iter().map(|path| path.display().to_string()).collect();
        self.given("path", (!path.is_empty()).then(|| texts(&path)));
        let env = &app.environment;
        let set = env.set.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        let set = (!env.set.is_empty()).then(|| Value::Table(set.collect()));
        self.given("env", set);
        let inherit = env.inherit.as_deref().map_or_else(|| true.into(), list);
        self.value("inherit-env", inherit, true.into());
        self.privileges(&app.privileges);
        self.line("workers", &workers(&app.workers), is_default("workers"));
        if !app.workers.is_fixed() {
            self.value("idle-timeout", seconds(app.workers.idle), seconds(Workers::IDLE));
        }
        if !app.solo {
            self.line("threads", &number(app.threads), is_default("threads"));
            self.value("preload", app.preload.into(), false.into());
        }
        self.value("solo", app.solo.into(), false.into());
        self.given("host", (!app.hosts.is_empty()).then(|| texts(&app.hosts)));
        let rooted = |path: &String| if path.is_empty() { "/".to_owned() } else { path.clone() };
        let prefixes: Vec<_> = app.prefixes.iter().map(rooted).collect();
        self.given("prefix", (!prefixes.is_empty()).then(|| texts(&prefixes)));
        self.given("script-name", app.script_name.as_ref().map(|name| rooted(name).into()));
        if let Some(probe) = &app.probe {
            self.given("probe", Some(probe.target.clone().into()));
            let default = ProbeRequest::default_host(&app.hosts);
            self.value("probe-host", probe.host.clone().into(), default.into());
            self.value("probe-timeout", seconds(probe.timeout), seconds(ProbeRequest::TIMEOUT));
        }
        if let Some(canary) = &app.canary {
            self.given("canary", Some(canary.share.to_string().into()));
            self.value("canary-time", seconds(canary.time), seconds(Canary::TIME));
        }
        let (limits, default) = (app.limits, AppLimits::default());
        self.value("queue", number(limits.queue), number(default.queue));
        self.value("graceful-timeout", seconds(app.graceful_timeout), seconds(grace));
        self.given("queue-timeout", limits.time.queue.map(seconds));
        self.given("slow-request", limits.time.slow.map(seconds));
        self.given("request-timeout", limits.time.request.map(seconds));
        if limits.time.request.is_some() {
            self.value("request-grace", seconds(limits.time.grace), seconds(default.time.grace));
        }
        if let Some(per_worker) = limits.per_worker {
            self.given("max-requests", Some(count(per_worker.requests)));
            let default = count(per_worker.requests / 10);
            self.value("max-requests-jitter", count(per_worker.jitter), default);
        }
        self.given("max-age", app.max_age.map(seconds));
        self.given("max-memory", app.max_memory.map(size));
        self.value("max-body", size(limits.body), size(default.body));
        self.value("max-params", size(limits.params as u64), size(default.params as u64));
    }

    fn privileges(&mut self, privileges: &Privileges) {
        let Privileges { identity, umask, limits, no_new_privs } = privileges;
        self.identity("user", "group", identity.as_ref());
        self.given("umask", umask.map(|mask| format!("{mask:04o}").into()));
        self.given("rlimit-nofile", limits.nofile.map(bound));
        self.given("rlimit-core", limits.core.map(bound));
        self.given("rlimit-as", limits.address_space.map(bound));
        let default = identity.as_ref().is_some_and(|identity| identity.uid != 0);
        self.value("no-new-privs", (*no_new_privs).into(), default.into());
    }
}

/// The name of an app; one of the command line has none.
fn name(config: &ServeConfig, id: AppId) -> String {
    let named = config.app(id).and_then(|app| app.name.clone());
    named.unwrap_or_else(|| "app".to_owned())
}

/// The address with its path from the root.
fn whole(address: &Address) -> Address {
    match address {
        Address::Unix(path) => Address::Unix(absolute(path)),
        address => address.clone(),
    }
}

/// The path from the root, without looking at what is there.
fn absolute(path: &Path) -> PathBuf {
    match path.as_os_str().is_empty() {
        true => std::env::current_dir().unwrap_or_default(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

fn text(path: &Path) -> Value {
    path.display().to_string().into()
}

fn list(texts: &[String]) -> Value {
    texts.to_vec().into()
}

/// One text may stand alone.
fn texts(texts: &[String]) -> Value {
    match texts {
        [text] => text.clone().into(),
        texts => list(texts),
    }
}

fn number(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// In the form that says all of it.
fn workers(workers: &Workers) -> Value {
    if workers.is_fixed() {
        return number(workers.min);
    }
    let some = [("min", workers.min), ("max", workers.max), ("spare", workers.spare)];
    Value::Table(some.map(|(key, value)| (key.to_owned(), number(value))).into_iter().collect())
}

fn count(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Whole seconds as a whole number.
fn seconds(time: Duration) -> Value {
    match time.subsec_nanos() {
        0 => Value::Integer(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
        _ => Value::Float(time.as_secs_f64()),
    }
}

/// In the largest unit that leaves no rest.
fn size(bytes: u64) -> Value {
    for (unit, name) in [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit).into();
        }
    }
    Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn bound(most: u64) -> Value {
    if most == u64::MAX { "unlimited".into() } else { size(most) }
}

/// What serde calls it.
fn word(value: impl serde::Serialize) -> Value {
    Value::try_from(value).unwrap_or_else(|_| "".into())
}
