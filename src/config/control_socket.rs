//! Where a flupd takes orders.

use std::path::{Path, PathBuf};

use super::{Address, Listen, Protocol, SocketConfig};

/// The mode of the control socket: its owner only, or a group besides.
const MODE: u32 = 0o600;
const GROUP_MODE: u32 = 0o660;

/// The control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlSocket {
    /// Where it is.
    pub path: PathBuf,
    /// How it is made.
    pub socket: SocketConfig,
}

impl ControlSocket {
    /// At this path, for the owner and the members of `group`.
    #[must_use]
    pub fn new(path: PathBuf, group: Option<String>) -> Self {
        let mode = if group.is_some() { GROUP_MODE } else { MODE };
        Self { path, socket: SocketConfig { mode, owner: None, group } }
    }

    /// Where it is if nothing is said: beside the first unix socket that flupd
    /// makes for web servers. `None` if it makes none.
    #[must_use]
    pub fn default_path(listeners: &[Listen]) -> Option<PathBuf> {
        let mut own = listeners.iter().filter(|listen| listen.protocol != Protocol::Status);
        own.find_map(|listen| match &listen.address {
            Address::Unix(path) => Some(beside(path)),
            _ => None,
        })
    }
}

/// `app.sock.control` for `app.sock`.
#[must_use]
pub fn beside(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".control");
    path.into()
}
