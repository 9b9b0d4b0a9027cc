//! What is logged, and where.

use std::path::Path;

use super::check::value;
use super::written::Written;
use crate::observe::log::{self, LogConfig, LogFormat, LogLevel};
use crate::observe::logs::LogsConfig;
use crate::observe::sink::Target;

/// What was asked for; a relative path begins at `base`.
pub(super) fn logs(written: &Written, base: &Path) -> LogsConfig {
    let log = match value(&written.log).map(String::as_str) {
        None | Some("-") => Target::Stderr,
        Some(path) => Target::File(base.join(path)),
    };
    let journal = log == Target::Stderr && log::stderr_is_the_journal();
    let level = value(&written.log_level).copied().unwrap_or(LogLevel::Info);
    let format = value(&written.log_format).copied().unwrap_or(LogFormat::Text);
    let capture = value(&written.capture_output).copied().unwrap_or(true);
    LogsConfig { form: LogConfig { level, format, journal }, log, capture }
}
