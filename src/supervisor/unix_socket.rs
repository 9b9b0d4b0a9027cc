//! A unix socket that flupd makes: bound with its mode and owner before anyone
//! can connect, removed at the end if it is still the one we made.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{Group, User};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, open};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use thiserror::Error;

use super::upgrade::Made;
use crate::config::SocketConfig;

/// How many connections may wait to be accepted; the kernel lowers it to
/// `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 4096;

/// Why a unix socket can't be made, and what to do.
#[derive(Debug, Error)]
pub enum UnixError {
    /// Another process listens there.
    #[error("another process listens there; stop it, or choose another path")]
    Live,
    /// Something else stands there.
    #[error("there is a file that is no socket; move it away, or choose another path")]
    NotASocket,
    /// The directory is missing.
    #[error("the directory {} does not exist; make it first", .0.display())]
    NoDirectory(PathBuf),
    /// The path is longer than the kernel takes.
    #[error("the path is too long for a unix socket (at most 107 bytes); use a shorter one")]
    TooLong,
    /// A name that the system does not know.
    #[error("there is no {0} {1:?} on this system; name one that exists, or its number")]
    Unknown(&'static str, String),
    /// Anything else, and at which step.
    #[error("can't {step}: {error}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// Turns what the system says into an error that names the step.
fn at<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> UnixError {
    move |error| UnixError::Step { step, error: error.into() }
}

/// A path on which we made a socket. Dropped, it removes the socket, unless
/// another has taken its place.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// Device and inode of the socket that we made.
    identity: (u64, u64),
    /// Whether it goes with us, and not with another flupd that has it, too.
    owned: AtomicBool,
}

impl SocketPath {
    /// Another flupd has made it, and it stays theirs for now.
    pub(super) fn offered(Made { path, device, inode }: Made) -> Self {
        Self { path, identity: (device, inode), owned: AtomicBool::new(false) }
    }

    /// What another flupd has to know of it.
    pub(super) fn made(&self) -> Made {
        let (device, inode) = self.identity;
        Made { path: self.path.clone(), device, inode }
    }

    /// Whether it stands at this path.
    pub(super) fn is(&self, path: &Path) -> bool {
        std::path::absolute(path).is_ok_and(|path| path == self.path)
    }

    /// Whether it goes with us.
    pub(super) fn own(&self, owned: bool) {
        self.owned.store(owned, Ordering::Relaxed);
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        if !self.owned.load(Ordering::Relaxed) {
            return;
        }
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // Nothing can be done about a failure; the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a listening socket at `path`.
pub(super) fn listen_at(
    path: &Path,
    config: &SocketConfig,
) -> Result<(OwnedFd, SocketPath), UnixError> {
    let owner = config.owner.as_deref().map(user).transpose()?;
    let group = config.group.as_deref().map(self::group).transpose()?;
    let address = SocketAddrUnix::new(path).map_err(|_| UnixError::TooLong)?;
    let socket = stream(SocketFlags::empty())?;
    if let Err(errno) = bind(&socket, &address) {
        if errno != rustix::io::Errno::ADDRINUSE {
            return Err(bind_error(path, errno.into()));
        }
        remove_stale(path, &address)?;
        bind(&socket, &address).map_err(|errno| bind_error(path, errno.into()))?;
    }
    // Nobody can connect before `listen`, so there is no moment with a wrong
    // mode. All steps go through one handle: another file can't slip in.
    let handle = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(at("open the new socket"))?;
    let handle = std::fs::File::from(handle);
    let found = handle.metadata().map_err(at("look at the new socket"))?;
    let made = SocketPath {
        path: std::path::absolute(path).map_err(at("find the socket's directory"))?,
        identity: (found.dev(), found.ino()),
        owned: AtomicBool::new(true),
    };
    if owner.is_some() || group.is_some() {
        chownat(&handle, "", owner, group, AtFlags::EMPTY_PATH)
            .map_err(at("set the socket's owner or group (only root may give one away)"))?;
    }
    let through = format!("/proc/self/fd/{}", handle.as_raw_fd());
    std::fs::set_permissions(through, std::fs::Permissions::from_mode(config.mode))
        .map_err(at("set the socket's mode"))?;
    listen(&socket, BACKLOG).map_err(at("listen"))?;
    Ok((socket, made))
}

fn stream(flags: SocketFlags) -> Result<OwnedFd, UnixError> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags | SocketFlags::CLOEXEC, None)
        .map_err(at("make a socket"))
}

fn bind_error(path: &Path, error: io::Error) -> UnixError {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match error.kind() {
        io::ErrorKind::NotFound => UnixError::NoDirectory(directory.to_owned()),
        _ => UnixError::Step { step: "bind", error },
    }
}

/// Removes a socket on which nobody listens any more.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), UnixError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(UnixError::NotASocket),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("look at what is there")(error)),
    }
    match connect(&stream(SocketFlags::NONBLOCK)?, address) {
        Err(rustix::io::Errno::CONNREFUSED) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("remove the stale socket")(error))
            }
            _ => Ok(()),
        },
        // AGAIN: its queue is full. PROTOTYPE: a datagram socket.
        Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::PROTOTYPE) => {
            Err(UnixError::Live)
        }
        Err(errno) => Err(at("find out whether the socket that is there is in use")(errno)),
    }
}

fn user(name: &str) -> Result<Uid, UnixError> {
    if let Some(number) = number(name) {
        return Ok(Uid::from_raw(number));
    }
    match User::from_name(name).map_err(at("look up the socket's owner"))? {
        Some(user) => Ok(Uid::from_raw(user.uid.as_raw())),
        None => Err(UnixError::Unknown("user", name.to_owned())),
    }
}

fn group(name: &str) -> Result<Gid, UnixError> {
    if let Some(number) = number(name) {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name).map_err(at("look up the socket's group"))? {
        Some(group) => Ok(Gid::from_raw(group.gid.as_raw())),
        None => Err(UnixError::Unknown("group", name.to_owned())),
    }
}

/// A number; the highest one means "no change" to `chown`.
fn number(name: &str) -> Option<u32> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn config(mode: u32) -> SocketConfig {
        SocketConfig { mode, owner: None, group: None }
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_us() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.sock");
        let (socket, made) = listen_at(&path, &config(0o606)).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o606);
        UnixStream::connect(&path).unwrap();
        drop((socket, made));
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_of_another_is_left_in_its_place() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.sock");
        let (_socket, made) = listen_at(&path, &config(0o660)).unwrap();
        std::fs::rename(&path, room.path().join("old")).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(made);
        assert!(path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_refused() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.sock");
        let live = UnixListener::bind(&path).unwrap();
        assert!(matches!(listen_at(&path, &config(0o660)), Err(UnixError::Live)));
        UnixStream::connect(&path).unwrap();
        drop(live);
        // A child that another test has just forked may hold it for a moment.
        let replaced = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            listen_at(&path, &config(0o660)).ok()
        });
        assert!(replaced.is_some());
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_stream_socket_is_left_alone() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert!(matches!(listen_at(&file, &config(0o660)), Err(UnixError::NotASocket)));
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        let datagram = room.path().join("datagram");
        let _live = UnixDatagram::bind(&datagram).unwrap();
        assert!(matches!(listen_at(&datagram, &config(0o660)), Err(UnixError::Live)));
    }

    #[test]
    fn a_missing_directory_and_unknown_names_are_named() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("no/such/a.sock");
        let error = listen_at(&path, &config(0o660)).unwrap_err().to_string();
        assert!(error.contains("no/such does not exist"), "{error}");
        let unknown = SocketConfig { owner: Some("no-such-user".into()), ..config(0o660) };
        let error = listen_at(&room.path().join("a"), &unknown).unwrap_err().to_string();
        assert!(error.starts_with("there is no user \"no-such-user\""), "{error}");
        assert!(!room.path().join("a").exists());
    }

    #[test]
    fn owners_are_names_or_numbers() {
        assert_eq!(user("root").unwrap(), Uid::ROOT);
        assert_eq!(user("1234").unwrap(), Uid::from_raw(1234));
        assert_eq!(group("0").unwrap(), Gid::ROOT);
        assert!(user("4294967295").is_err() && group("+1").is_err());
    }

    #[test]
    fn our_own_group_can_be_given() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.sock");
        let gid = rustix::process::getgid().as_raw();
        let given = SocketConfig { group: Some(gid.to_string()), ..config(0o600) };
        let _made = listen_at(&path, &given).unwrap();
        assert_eq!(path.metadata().unwrap().gid(), gid);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
