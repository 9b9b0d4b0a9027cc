//! What an administrator can tell a flupd that runs: orders over a unix socket,
//! and their outcome.
//!
//! A connection carries one order and one outcome, each a line of JSON. The
//! supervisor answers (`supervisor::admin`), commands such as `flupd reload` ask
//! ([`client`]).

pub mod client;

use serde::{Deserialize, Serialize};

use crate::config::Canary;
use crate::observe::log::LogLevel;
use crate::observe::snapshot::Snapshot;

/// The version of what is said. Another one is refused: the program that runs is
/// not the one that asks.
pub const VERSION: u32 = 1;

/// The longest order, in bytes.
pub const MAX_ORDER: usize = 4096;

/// The longest outcome, in bytes: a traceback or a table fits.
pub const MAX_OUTCOME: u64 = 16 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// [`VERSION`].
    pub version: u32,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// New code, and the configuration as it stands in the file now; of one app,
    /// or of all.
    Reload {
        /// Its name.
        app: Option<String>,
        /// How much the new code gets at first, and for how long; none: as the
        /// configuration says.
        #[serde(default)]
        canary: Option<Canary>,
    },
    /// Have the program of flupd, as it is on disk now, take over.
    Upgrade,
    /// Replace the workers of one app or of all, one after the other, without reading
    /// the configuration.
    Restart {
        /// Its name.
        app: Option<String>,
    },
    /// Other bounds for the number of workers, until the next reload.
    Scale {
        /// The name of the app, where there can be several.
        app: Option<String>,
        /// The least, if that shall change, too.
        min: Option<usize>,
        /// The most, or the number that there always is.
        max: usize,
    },
    /// Finish what runs, then end.
    Stop,
    /// Say what runs.
    Status {
        /// With the Python frames of each request.
        frames: bool,
    },
    /// Open the log files again.
    ReopenLogs,
    /// Log from this level on.
    LogLevel {
        /// The level.
        level: LogLevel,
    },
}

/// What came of it. Of [`Order::Stop`] there is none but the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done, and this is to be said of it.
    Said(String),
    /// It is not, for this reason.
    Failed(String),
    /// Another flupd has taken over, which is to be asked.
    AskAgain,
    /// What runs.
    Status(Box<Snapshot>),
}
