//! The process that the web server has started goes on as the interpreter that
//! serves: what the web server signals or kills is the app itself, and nothing
//! stays behind it.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use command_fds::{CommandFdExt, FdMapping};
use flupd_channel::packet;
use flupd_channel::startup::{STATUS_FD, Task, WorkerConfig, send_task};

use super::start::Start;
use crate::config::{GatewayConfig, ListenerConfig, Protocol, Role, ServeConfig};
use crate::gateway::excuse;
use crate::inherited;
use crate::supervisor::interpreter::{self, BOOTSTRAP};
use crate::supervisor::spawn::{self, SOLO};

/// Serves on the listening socket that is standard input, or answers one CGI
/// request. With `lends` a script's own server may have the socket; `nowhere` says
/// that there is none. Returns only what keeps it from that.
pub(super) fn serve(
    config: &ServeConfig,
    start: Start,
    lends: bool,
    nowhere: Option<String>,
) -> anyhow::Result<Infallible> {
    let cgi = start == Start::Cgi;
    let app = config.apps.values().next().context("there is no app")?;
    if config.logs.access.is_some() {
        bail!("the access log is written by `flupd serve`; let the web server write its own");
    }
    if config.listeners.iter().any(|listen| listen.protocol == Protocol::Status) {
        bail!("--status is for a flupd that stays: a CGI program answers one request");
    }
    let python = interpreter::choose(app.python.as_deref())?;
    if excuse::is_needed() {
        // What it says itself of why it can't do, nobody hears.
        interpreter::examine(&python, &app.privileges)?;
    }
    let library = spawn::library(SOLO)?;
    let listeners = config.listeners.iter().map(|listen| ListenerConfig {
        // Inside, the one request of CGI is a FastCGI connection.
        protocol: if cgi { Protocol::Fastcgi } else { listen.protocol },
        address: listen.address.to_string(),
        apps: listen.apps.clone(),
        allow: listen.allow.clone(),
        roles: if cgi { vec![Role::Responder] } else { listen.roles.clone() },
    });
    let gateway = GatewayConfig { alone: true, ..config.gateway(listeners.collect(), |_| 1) };
    let task = Task::Alone {
        worker: WorkerConfig {
            worker: 1,
            app: app.app.clone(),
            script: app.script.clone(),
            chdir: app.chdir.clone(),
            path: app.path.clone(),
            // The web server may start as many of us as it likes.
            multiprocess: true,
        },
        gateway: serde_json::to_string(&gateway)?,
        cgi,
        grace: config.graceful_timeout,
        lends,
        nowhere,
    };
    let fds = match start {
        Start::Cgi => streams(),
        Start::ByHand => Ok(Vec::new()),
        Start::Alone | Start::Supervised => inherited::take(0).map(|socket| vec![socket]),
    };
    let mut fds = fds.context("standard input and output can't be taken over")?;
    let log = &config.logs.log;
    fds.push(log.open().with_context(|| format!("the log {log} can't be written"))?.into());
    let (ours, theirs) = packet::pair()?;
    let passed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    send_task(&ours, &task, &passed)?;
    forget_the_rest()?;
    let mut command = Command::new(&python);
    command.arg("-c").arg(BOOTSTRAP).arg(library);
    let mapping = FdMapping { parent_fd: theirs, child_fd: STATUS_FD };
    command.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
    let error = command.exec();
    Err(anyhow!("{} can't be executed: {error}", python.display()))
}

/// Standard input and output of a CGI program. What the script prints goes to
/// standard error from here on: it would spoil the answer.
fn streams() -> io::Result<Vec<OwnedFd>> {
    let streams = vec![inherited::take(0)?, inherited::take(1)?];
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(streams)
}

/// Whatever else the web server has left open is not ours, nor a child's of ours:
/// a FastCGI program has no descriptors but the standard ones (section 2.2).
fn forget_the_rest() -> io::Result<()> {
    // SAFETY: this only sets flags, which std sets for all descriptors of its own.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) } {
        0 => Ok(()),
        // Linux before 5.11 does not know it; then they stay open, as with others.
        _ => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
            error => Err(error),
        },
    }
}
