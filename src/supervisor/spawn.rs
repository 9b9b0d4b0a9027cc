//! Starting the gateway, the workers and the zygote: each with one socket on
//! descriptor 3, nothing else of ours, and bound to our life.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{SigHandler, Signal as Handled, signal};
use rustix::process::{Rlimit, Signal, geteuid, getpid, getppid, set_parent_process_death_signal};
use tokio::process::Child;

use super::confine::confine;
use super::interpreter::BOOTSTRAP;
use super::limits::OpenFiles;
use super::upgrade::Again;
use crate::config::{AppConfig, Identity, Privileges};
use crate::observe::logs::Streams;

/// The descriptor on which a child finds its socket to the supervisor.
pub(crate) const SOCKET_FD: i32 = flupd_channel::startup::STATUS_FD;

/// Signals that the gateway passes over: whoever sends them by name, or to a whole
/// group, means the supervisor.
const MEANT_FOR_SUPERVISOR: [Handled; 6] = [
    Handled::SIGTERM,
    Handled::SIGINT,
    Handled::SIGQUIT,
    Handled::SIGHUP,
    Handled::SIGUSR1,
    Handled::SIGUSR2,
];

/// The worker's half of flupd.
pub(super) const WORKER: &str = "libflupd_worker.so";

/// Both halves in one.
pub(crate) const SOLO: &str = "libflupd_solo.so";

/// What was meant for the supervisor alone.
const OURS: [&str; 5] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", UPGRADE];

/// The process id of the flupd that a new one is to replace; it speaks with that on
/// [`SOCKET_FD`].
pub(super) const UPGRADE: &str = "FLUPD_UPGRADES";

/// Starts this very program as the gateway, also when its file has been
/// replaced by a newer one.
pub(super) fn gateway(
    control: OwnedFd,
    privileges: &Privileges,
    streams: Option<Streams>,
) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    // `ps` shows "flupd: gateway".
    command.arg0("flupd:").arg("gateway");
    confine(&mut command, privileges, None);
    bind_to_us(&mut command, control)?;
    print_to(&mut command, streams);
    // SAFETY: `signal` only makes a system call, which is allowed between fork
    // and exec, and installs no handler.
    unsafe {
        command.pre_exec(|| {
            // Who signals a whole group of processes, such as systemd, means
            // the supervisor: it tells the gateway when to stop.
            for one in MEANT_FOR_SUPERVISOR {
                signal(one, SigHandler::SigIgn)?;
            }
            Ok(())
        });
    }
    spawn(command)
}

/// Starts a flupd that is to take the place of this one. It outlives us.
pub(super) fn successor(
    again: &Again,
    socket: OwnedFd,
    open_files: &OpenFiles,
) -> io::Result<Child> {
    let mut command = Command::new(&again.program);
    if let Some((called, arguments)) = again.words.split_first() {
        command.arg0(called).args(arguments);
    }
    // As it was for us.
    confine(&mut command, &Privileges::default(), Some(open_files.before()));
    command.env(UPGRADE, std::process::id().to_string());
    // The watchdog is for whoever has no process id to compare with.
    command.env_remove("WATCHDOG_PID");
    let mapping = FdMapping { parent_fd: socket, child_fd: SOCKET_FD };
    command.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
    spawn(command)
}

/// Starts a worker, or a zygote: which one, its first message says. `open_files`
/// is the limit that the app shall see.
pub(super) fn worker(
    interpreter: &Path,
    library: &Path,
    app: &AppConfig,
    status: OwnedFd,
    streams: Option<Streams>,
    open_files: Rlimit,
) -> io::Result<Child> {
    let mut command = Command::new(interpreter);
    confine(&mut command, &app.privileges, Some(open_files));
    set_environment(&mut command, app);
    command.arg("-c").arg(BOOTSTRAP).arg(library);
    bind_to_us(&mut command, status)?;
    print_to(&mut command, streams);
    spawn(command)
}

fn set_environment(command: &mut Command, app: &AppConfig) {
    let AppConfig { environment, privileges, .. } = app;
    if let Some(names) = &environment.inherit {
        command.env_clear();
        let inherited = names.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.envs(inherited);
    }
    // Who stays who they are keeps their own.
    let changed = privileges.identity.as_ref().filter(|who| who.uid != geteuid().as_raw());
    if let Some(Identity { name, home, .. }) = changed {
        command.envs(name.iter().flat_map(|name| [("USER", name), ("LOGNAME", name)]));
        command.envs(home.iter().map(|home| ("HOME", home)));
    }
    command.envs(&environment.set);
}

/// Where a library of ours is: beside this program, where packages put it, or
/// in the directory, or the file, that `FLUPD_WORKER_LIB` names.
pub(crate) fn library(name: &str) -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    let named = std::env::var_os("FLUPD_WORKER_LIB").map(PathBuf::from);
    let places = [directory.join(name), directory.join("../lib/flupd").join(name)];
    let named = named.into_iter().flat_map(|named| [named.join(name), named]);
    let mut places = places.into_iter().chain(named);
    places.find(|place| place.is_file()).ok_or_else(|| {
        let directory = directory.display();
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "{name} is neither in {directory} nor in {directory}/../lib/flupd; install it \
                 beside flupd (make build makes it), or name it in FLUPD_WORKER_LIB"
            ),
        )
    })
}

/// Gives the child its socket, a process group of its own (so that Ctrl-C
/// reaches only the supervisor) and the supervisor's end as its own.
fn bind_to_us(command: &mut Command, socket: OwnedFd) -> io::Result<()> {
    command.stdin(Stdio::null()).process_group(0);
    for name in OURS {
        command.env_remove(name);
    }
    let mapping = FdMapping { parent_fd: socket, child_fd: SOCKET_FD };
    command.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
    let supervisor = getpid();
    // SAFETY: between fork and exec only system calls are made, nothing is
    // allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have died before the call above.
            match getppid() == Some(supervisor) {
                true => Ok(()),
                false => Err(rustix::io::Errno::SRCH.into()),
            }
        });
    }
    Ok(())
}

/// Where the child prints; `None`: where we do.
fn print_to(command: &mut Command, streams: Option<Streams>) {
    if let Some(Streams { stdout, stderr }) = streams {
        command.stdout(stdout).stderr(stderr);
    }
}

fn spawn(command: Command) -> io::Result<Child> {
    tokio::process::Command::from(command).spawn()
}
