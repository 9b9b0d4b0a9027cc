//! What can happen to the supervisor.

use std::collections::BTreeMap;

use super::{Due, ReloadPlan};
use crate::config::{AppId, GroupId, Workers};
use crate::control::{Load, StatusQuestion};
use crate::observe::figures::Figures;
use crate::observe::snapshot::Snapshot;
use crate::supervisor::cause::Cause;

/// What happened.
#[derive(Debug, Clone)]
pub(in crate::supervisor) enum Event {
    /// flupd was started, or time has passed.
    Tick,
    /// The zygote has imported the app, which has started these threads.
    ZygoteReady { group: GroupId, app: String, python: String, threads: Vec<String> },
    /// The zygote can't import the app.
    ZygoteFailed { group: GroupId, error: String },
    /// The zygote has ended.
    ZygoteExited { group: GroupId, cause: Cause },
    /// The zygote has forked a worker.
    WorkerForked { worker: u64, pid: u32 },
    /// A worker has imported the app.
    WorkerReady { worker: u64, app: String, python: String },
    /// A worker can't import the app.
    WorkerFailed { worker: u64, error: String },
    /// A worker has answered the probe; or not, for this reason.
    WorkerProved { worker: u64, failure: Option<String> },
    /// A worker has ended.
    WorkerExited { worker: u64, cause: Cause },
    /// The gateway says that a worker broke the channel protocol.
    WorkerBroken { worker: u64, reason: String },
    /// The gateway says that a worker is to be replaced.
    WorkerWorn { worker: u64 },
    /// The gateway says that nothing in a worker will end.
    WorkerSpent { worker: u64 },
    /// A worker is to be replaced when it is its turn.
    WorkerDue { worker: u64, why: Due },
    /// The gateway says how many requests a generation has.
    Load { group: GroupId, load: Load },
    /// It may have so many workers from now on.
    Scale { group: GroupId, workers: Workers },
    /// Their workers shall be replaced.
    Restart(Vec<GroupId>),
    /// How much resident memory workers have, in bytes.
    Weighed(BTreeMap<u64, u64>),
    /// The gateway accepts connections.
    GatewayListens,
    /// The gateway does what the last [`super::Action::Switch`] has told it.
    GatewaySwitched,
    /// It is there.
    GatewayAnswers,
    /// It accepts no connections any more.
    GatewayClosed,
    /// How the old and the new generation of an app do, while both serve.
    Canary(Box<(AppId, Figures, Figures)>),
    /// The gateway has ended.
    GatewayExited { cause: Cause },
    /// SIGHUP, or that was asked for in another way: the code or the
    /// configuration has changed.
    ReloadWanted,
    /// What [`super::Action::PrepareReload`] has asked for is there: new generations of
    /// apps, which shall take over.
    Reload(ReloadPlan),
    /// It can't be had, for this reason.
    ReloadImpossible(String),
    /// The process that tells the status of solo workers asks for it.
    StatusAsked { question: u64, what: StatusQuestion },
    /// It has ended.
    TellerExited { cause: Cause },
    /// What runs, for who has asked.
    Told { question: u64, snapshot: Box<Snapshot> },
    /// SIGUSR2, or that was asked for in another way: the program of flupd has changed.
    UpgradeWanted,
    /// The new program is ready to take over.
    SuccessorReady,
    /// It has taken over.
    SuccessorTook,
    /// It has ended, or can't be started, for this reason.
    SuccessorEnded { why: String },
    /// The program that this one replaces has let go.
    TakeOver,
    /// The program that this one replaces has ended.
    ElderGone,
    /// An order to stop.
    Stop,
    /// SIGTERM, SIGINT or SIGQUIT.
    Signal,
    /// The log files were moved away: SIGUSR1.
    ReopenLogs,
}
