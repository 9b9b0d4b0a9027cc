//! What an old flupd and the new one say to each other: JSON messages with
//! descriptors over a packet socket.
//!
//! The two may be of different versions, in either order: what is here may be
//! added to, never changed. Fields and messages that one does not know it passes
//! over.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Protocol;

/// The version of what is said. Another one is refused.
pub(super) const VERSION: u32 = 1;

/// What the old one says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToSuccessor {
    /// The first message.
    Begin { version: u32 },
    /// One address. Its sockets travel with it.
    Listener(Offer),
    /// The control socket travels with it.
    Control { made: Made },
    /// The packet socket over which connections are passed on travels with it.
    Connections,
    /// That was all there is to hand over.
    All,
    /// From now on it is yours.
    TakeOver,
    /// A reload is wanted that the old one has not begun.
    Reload,
}

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Offer {
    /// What is spoken there.
    pub(in crate::supervisor) protocol: Protocol,
    /// As it was configured.
    pub(in crate::supervisor) address: String,
    /// The address of each socket, for people.
    pub(in crate::supervisor) names: Vec<String>,
    /// The file that was made for it.
    pub(in crate::supervisor) made: Option<Made>,
}

/// The file of a unix socket: whoever ends last removes it, if it is still this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Made {
    /// From the root.
    pub(in crate::supervisor) path: PathBuf,
    pub(in crate::supervisor) device: u64,
    pub(in crate::supervisor) inode: u64,
}

/// What the new one says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToPredecessor {
    /// Its gateway and all its workers are ready.
    Ready,
    /// It has taken over.
    Taken,
    /// It can't start, for this reason.
    Failed(String),
}
