//! What the supervisor can do.

use crate::config::GroupId;
use crate::control::{StatusQuestion, ToGateway};
use crate::observe::snapshot::Snapshot;
use crate::supervisor::notes::Note;

/// What to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Action {
    /// Start a gateway with all listening sockets.
    SpawnGateway,
    /// Start the process that tells the status of solo workers.
    SpawnTeller,
    /// Answer what it asks.
    Answer(u64, StatusQuestion),
    /// Start the process that imports the app and forks workers.
    SpawnZygote(GroupId),
    /// Start a worker of this group and number and give its ports to the
    /// gateway; with a zygote, have that fork one.
    SpawnWorker(GroupId, u64),
    /// End it with SIGKILL.
    KillZygote(GroupId),
    /// End it with SIGKILL.
    KillGateway,
    /// End it with SIGKILL.
    KillWorker(u64),
    /// Have a worker of this group answer the app's probe.
    Prove(GroupId, u64),
    /// Have a worker that serves connections itself finish and end.
    StopWorker(u64),
    /// Read the configuration again, and make ready what it needs.
    PrepareReload,
    /// What was made ready for the reload holds from now on: tell the gateway.
    Switch,
    /// The new generations answer from now on: say so to who has asked for it, and
    /// what else there is to say.
    ReloadDone(Option<String>),
    /// What was made ready for the reload is not wanted, for this reason.
    ReloadFailed(String),
    /// What runs, to be passed on to who has asked this question.
    PassOn(u64, Box<Snapshot>),
    /// No reload will be done any more, for this reason.
    NoReload(String),
    /// Start the new program, and hand over the listening sockets.
    StartSuccessor,
    /// Tell it to take over.
    LetGo,
    /// It has taken over: leave everything in its place, and pass on connections.
    Retire,
    /// New connections are its own: say so to who has asked for it.
    UpgradeDone,
    /// It is not wanted any more, for this reason.
    UpgradeFailed(String),
    /// Tell the program that this one replaces that all is ready.
    SayReady,
    /// Tell it why nothing will be.
    Refuse(String),
    /// Accept connections and orders in its place.
    TakeOver,
    /// The workers of this group were replaced; or not, for this reason.
    Restarted(GroupId, Option<String>),
    /// Nobody of this group is left.
    Forget(GroupId),
    /// Send the gateway a message.
    Tell(ToGateway),
    /// Open the log files again.
    ReopenLogs,
    /// Close the listening sockets and remove those we made.
    CloseListeners,
    /// Say something.
    Log(Note),
    /// Say something of this group.
    LogOf(GroupId, Note),
    /// End the supervisor with this status.
    Exit(u8),
}
