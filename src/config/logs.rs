//! What is logged, and where.

use super::check::{Check, value};
use super::mistake::Mistake;
use super::source::ConfigError;
use super::written::Written;
use crate::observe::access::Format;
use crate::observe::log::{self, LogConfig, LogFormat, LogLevel};
use crate::observe::logs::{AccessConfig, LogsConfig};
use crate::observe::sink::Target;

/// The format of an access log of which nothing else is said.
pub(super) const ACCESS_FORMAT: &str = "flupd";

impl Check<'_> {
    /// What was asked for.
    pub(super) fn logs(&self, written: &Written) -> Result<LogsConfig, ConfigError> {
        let log = match value(&written.log) {
            None => Target::Stderr,
            Some(path) => self.target(path, Target::Stderr),
        };
        let journal = log == Target::Stderr && log::stderr_is_the_journal();
        let level = value(&written.log_level).copied().unwrap_or(LogLevel::Info);
        let format = value(&written.log_format).copied().unwrap_or(LogFormat::Text);
        let capture = value(&written.capture_output).copied().unwrap_or(true);
        let make_ids = value(&written.make_request_ids).copied().unwrap_or(false);
        let (form, access) = (LogConfig { level, format, journal }, self.access_log(written)?);
        Ok(LogsConfig { form, log, access, capture, make_ids, otlp: self.otlp(written)? })
    }

    fn access_log(&self, written: &Written) -> Result<Option<AccessConfig>, ConfigError> {
        if let Some(format) = &written.access_log_format {
            let mistake = match (&written.access_log, Format::parse(format.get_ref())) {
                (None, _) => Some(Mistake::Alone("access-log")),
                (Some(_), parsed) => parsed.err().map(Mistake::Format),
            };
            if let Some(mistake) = mistake {
                return Err(self.at("access-log-format", format, mistake));
            }
        }
        let format = value(&written.access_log_format).map_or(ACCESS_FORMAT, String::as_str);
        Ok(value(&written.access_log).map(|path| AccessConfig {
            to: self.target(path, Target::Stdout),
            format: format.to_owned(),
        }))
    }

    fn target(&self, path: &str, standard: Target) -> Target {
        if path == "-" { standard } else { Target::File(self.base.join(path)) }
    }
}
