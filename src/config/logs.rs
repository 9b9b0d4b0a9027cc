//! What is logged, and where.

use std::path::Path;

use crate::cli::logs::{Capture, LogArgs};
use crate::observe::log::{self, LogConfig};
use crate::observe::logs::LogsConfig;
use crate::observe::sink::Target;

/// Checks what was asked for; a relative path begins at `here`.
pub(super) fn logs(args: LogArgs, here: &Path) -> LogsConfig {
    let log = match args.log.as_deref() {
        None | Some("-") => Target::Stderr,
        Some(path) => Target::File(here.join(path)),
    };
    let journal = log == Target::Stderr && log::stderr_is_the_journal();
    LogsConfig {
        form: LogConfig { level: args.log_level, format: args.log_format, journal },
        log,
        capture: args.capture_output == Capture::On,
    }
}
