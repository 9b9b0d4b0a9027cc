//! The log: one line a problem, with its facts as fields.

mod journal;
mod output;

use std::io;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

pub use self::output::Output;
use self::output::Outputs;

/// The target of events that are not ours: what apps print. They are logged
/// whatever the level.
pub const OUTPUT: &str = "output";

/// Changes the level of this process's log.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// How much and in which form to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The least grave level that is shown.
    pub level: LogLevel,
    /// Text or JSON.
    pub format: LogFormat,
    /// Whether it goes straight to systemd's journal, which wants each line's
    /// level in front and no time.
    pub journal: bool,
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs a look.
    Warn,
    /// What an administrator wants to see in ordinary operation.
    Info,
    /// For finding out why.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: time, level, message, `field=value`.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Whether our standard error is connected to systemd's journal.
#[must_use]
pub fn stderr_is_the_journal() -> bool {
    journal::is_behind(io::stderr())
}

/// Starts logging in this process, once in its life: if there is a log already,
/// that one goes on. A gateway inside a script may be started again there.
pub fn start(config: LogConfig, output: Output) {
    let (filter, handle) = reload::Layer::new(filter(config.level));
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(Outputs { output, journal: config.journal });
    let log = tracing_subscriber::registry().with(filter);
    let started = match (config.format, config.journal) {
        (LogFormat::Text, false) => log.with(lines).try_init(),
        (LogFormat::Text, true) => log.with(lines.without_time()).try_init(),
        (LogFormat::Json, _) => log.with(lines.json().flatten_event(true)).try_init(),
    };
    if started.is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Logs from this level on, if there is a log.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the log has gone.
        let _ = handle.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level).with_target(OUTPUT, LevelFilter::INFO)
}
