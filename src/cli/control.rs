//! The options of the commands that speak with a flupd that runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::admin::Order;
use crate::config::values::{self, Workers, workers};
use crate::config::{Canary, Share};
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

    /// Give the new code this share of the requests first, such as 10%, and take it back if it does
    /// worse than the old; or off [default: the app's canary, else off]
    #[arg(long, value_name = "SHARE", value_parser = Share::parse)]
    pub canary: Option<Share>,

    /// Seconds for which the two are compared [default: 30]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, requires = "canary")]
    pub canary_time: Option<Duration>,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// `flupd restart`, raw.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Only this app of the configuration file [default: all]
    pub app: Option<String>,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// `flupd scale`, raw.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// The app, if there are several, and how many workers: N, or MIN..MAX if they come and go
    #[arg(required = true, num_args = 1..=2, value_names = ["APP", "N"])]
    pub what: Vec<String>,

    #[command(flatten)]
    pub control: ControlArgs,
}

impl ScaleArgs {
    /// The order.
    ///
    /// # Errors
    /// What is wrong with the number.
    pub fn order(&self) -> Result<Order, String> {
        let (app, number) = match &*self.what {
            [number] => (None, number),
            [app, number, ..] => (Some(app.clone()), number),
            [] => return Err("say how many workers".to_owned()),
        };
        let wrong = |why| format!("{number:?}: {why}");
        let Workers { min, max, .. } = workers(number).map_err(wrong)?;
        let some = |number: i64| usize::try_from(number).ok();
        let max = max.and_then(some);
        let max =
            max.ok_or_else(|| wrong("write a number such as 4, or a range such as 2..8".into()))?;
        let min = min.and_then(some).filter(|_| number.contains(".."));
        Ok(Order::Scale { app, min, max })
    }
}

impl ReloadArgs {
    /// What is asked for, if anything is.
    #[must_use]
    pub fn canary(&self) -> Option<Canary> {
        let time = self.canary_time.unwrap_or(Canary::TIME);
        self.canary.map(|share| Canary { share, time })
    }
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

/// `flupd top`, raw.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Seconds from one look to the next
    #[arg(long, value_name = "S", value_parser = values::some_seconds, default_value = "1")]
    pub interval: Duration,

    /// Only this app of the configuration file [default: all]
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,

    /// Print it once and end, as without a terminal
    #[arg(long)]
    pub once: bool,

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
