//! The options about logs, as they are written.

use clap::Args;

use crate::observe::log::{LogFormat, LogLevel};

/// What is logged, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Where the log goes: a file, or - for standard error [default: -]
    #[arg(long, value_name = "PATH")]
    pub log: Option<String>,

    /// How grave a message must be to be logged
    #[arg(long, value_name = "L", value_enum, default_value = "info")]
    pub log_level: LogLevel,

    /// Log lines for people or for machines
    #[arg(long, value_name = "F", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// Write a line for each request: to a file, or - for standard output
    #[arg(long, value_name = "PATH")]
    pub access_log: Option<String>,

    /// What stands in it: common, combined, flupd, php-fpm, json, or fields in Apache's way
    /// [default: flupd]
    #[arg(long, value_name = "FORMAT")]
    pub access_log_format: Option<String>,

    /// Whether what apps print to standard output and standard error becomes lines of the log; off:
    /// it goes to flupd's own as it is
    #[arg(long, value_name = "on|off", value_enum, default_value = "on")]
    pub capture_output: Capture,

    /// Give each request an id of which the web server sends none: the app has it as REQUEST_ID,
    /// and it stands in the logs
    #[arg(long)]
    pub make_request_ids: bool,

    /// Make a span of each request, and send them to this OpenTelemetry collector:
    /// http://127.0.0.1:4318; env: to that of OTEL_EXPORTER_OTLP_ENDPOINT
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,

    /// Of how many of the traces that begin here, such as 10% [default: all]
    #[arg(long, value_name = "SHARE")]
    pub otlp_sample: Option<String>,
}

/// Whether the output of apps is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Capture {
    /// It becomes lines of the log.
    On,
    /// It goes where flupd's own would.
    Off,
}
