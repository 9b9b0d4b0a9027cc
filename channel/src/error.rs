//! What can go wrong between gateway and worker.

use std::io;

/// Why a port can no longer be used.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other end has closed: the process on that side has gone.
    #[error("the other end has closed")]
    Closed,
    /// The other end sent something that the protocol does not allow.
    #[error("the other end broke the channel protocol: {0}")]
    Broken(&'static str),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for ChannelError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
