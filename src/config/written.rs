//! A configuration as it is written, in a file or on the command line: nothing
//! is checked but its form, and nothing filled in.
//!
//! A field is a key of the file, and the option of that name on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::values::{Bound, Inherit, Limit, Mode, Seconds, Size, SomeSeconds, Texts, Workers};
use crate::observe::log::{LogFormat, LogLevel};

/// A value that may be given, and where it stands.
pub(super) type Given<T> = Option<Spanned<T>>;

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Written {
    pub(super) gateway_user: Given<String>,
    pub(super) gateway_group: Given<String>,
    pub(super) graceful_timeout: Given<Seconds>,
    pub(super) read_timeout: Given<SomeSeconds>,
    pub(super) write_timeout: Given<SomeSeconds>,
    pub(super) keep_timeout: Given<SomeSeconds>,
    pub(super) queue_timeout: Given<Limit>,
    pub(super) slow_request: Given<Limit>,
    pub(super) request_timeout: Given<Limit>,
    pub(super) request_grace: Given<Seconds>,
    pub(super) control: Given<String>,
    pub(super) control_group: Given<String>,
    pub(super) status: Given<String>,
    pub(super) status_allow: Given<Texts>,
    pub(super) log: Given<String>,
    pub(super) log_level: Given<LogLevel>,
    pub(super) log_format: Given<LogFormat>,
    pub(super) access_log: Given<String>,
    pub(super) access_log_format: Given<String>,
    pub(super) capture_output: Given<bool>,
    pub(super) make_request_ids: Given<bool>,
    pub(super) otlp: Given<String>,
    pub(super) otlp_sample: Given<String>,
    pub(super) listen: Vec<Spanned<WrittenListen>>,
    pub(super) apps: BTreeMap<Spanned<String>, Spanned<WrittenApp>>,
}

/// One listener.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct WrittenListen {
    pub(super) fastcgi: Given<String>,
    pub(super) scgi: Given<String>,
    pub(super) mode: Given<Mode>,
    pub(super) owner: Given<String>,
    pub(super) group: Given<String>,
    pub(super) role: Given<Texts>,
    pub(super) allow: Given<Texts>,
    pub(super) apps: Option<Vec<Spanned<String>>>,
}

/// One app.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct WrittenApp {
    pub(super) app: Given<String>,
    pub(super) python: Given<PathBuf>,
    pub(super) chdir: Given<PathBuf>,
    pub(super) path: Given<Texts>,
    pub(super) env: Given<BTreeMap<String, String>>,
    pub(super) inherit_env: Given<Inherit>,
    pub(super) user: Given<String>,
    pub(super) group: Given<String>,
    pub(super) umask: Given<Mode>,
    pub(super) rlimit_nofile: Given<Bound>,
    pub(super) rlimit_core: Given<Bound>,
    pub(super) rlimit_as: Given<Bound>,
    pub(super) no_new_privs: Given<bool>,
    pub(super) workers: Given<Workers>,
    pub(super) idle_timeout: Given<SomeSeconds>,
    pub(super) threads: Given<i64>,
    pub(super) preload: Given<bool>,
    pub(super) solo: Given<bool>,
    pub(super) host: Given<Texts>,
    pub(super) prefix: Given<Texts>,
    pub(super) script_name: Given<String>,
    pub(super) probe: Given<String>,
    pub(super) probe_host: Given<String>,
    pub(super) probe_timeout: Given<SomeSeconds>,
    pub(super) canary: Given<String>,
    pub(super) canary_time: Given<SomeSeconds>,
    pub(super) queue: Given<i64>,
    pub(super) queue_timeout: Given<Limit>,
    pub(super) slow_request: Given<Limit>,
    pub(super) request_timeout: Given<Limit>,
    pub(super) request_grace: Given<Seconds>,
    pub(super) graceful_timeout: Given<Seconds>,
    pub(super) max_requests: Given<i64>,
    pub(super) max_requests_jitter: Given<i64>,
    pub(super) max_age: Given<SomeSeconds>,
    pub(super) max_memory: Given<Size>,
    pub(super) max_body: Given<Size>,
    pub(super) max_params: Given<Size>,
}
