//! The options of the commands that speak with a flupd that runs.

use std::path::PathBuf;

use clap::Args;

use crate::observe::log::LogLevel;

/// Which flupd is meant.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// Its control socket [default: $FLUPD_CONTROL, else ./flupd.sock.control]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// The configuration file that it was started with, which says where the socket is
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    pub config: Option<PathBuf>,
}

/// `flupd reload`, raw.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Only this app of the configuration file [default: all, and the file itself]
    pub app: Option<String>,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// `flupd status`, raw.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// All of it as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// `flupd trace`, raw.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Only the requests of the worker with this number
    pub worker: Option<u64>,

    /// As JSON; then of all workers, and with all that `flupd status` tells
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// `flupd log-level`, raw.
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// How grave a message must be to be logged
    #[arg(value_enum)]
    pub level: LogLevel,

    #[command(flatten)]
    pub control: ControlArgs,
}
