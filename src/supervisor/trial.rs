//! Tries whether an app can be imported, as its workers would import it: by its
//! own Python, as its own user, with its own environment.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use flupd_channel::packet;
use flupd_channel::startup::{Task, ZygoteStatus, decode_zygote_status, send_task};

use super::cause::Cause;
use super::limits::OpenFiles;
use super::program::Program;
use crate::config::{AppConfig, ServeConfig};
use crate::control::PacketSocket;
use crate::observe::logs::Streams;

/// How long an import may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How it went.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The interpreter, if there is one.
    pub(crate) python: Option<PathBuf>,
    /// What was imported, and the interpreter's version; or why not.
    pub(crate) outcome: Result<(String, String), String>,
}

/// Tries each app in turn.
///
/// # Errors
/// What keeps flupd itself from trying.
pub(crate) fn run(config: &ServeConfig) -> anyhow::Result<Vec<Trial>> {
    let open_files = OpenFiles::raise(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut trials = Vec::new();
        for app in config.apps.values() {
            trials.push(attempt(app, &open_files).await);
        }
        Ok(trials)
    })
}

async fn attempt(app: &AppConfig, open_files: &OpenFiles) -> Trial {
    // A solo worker imports as any other.
    let program = match Program::find(AppConfig { solo: false, ..app.clone() }).await {
        Ok(program) => program,
        Err(error) => return Trial { python: None, outcome: Err(format!("{error:#}")) },
    };
    let outcome = match tokio::time::timeout(PATIENCE, import(&program, open_files)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("the import did not end within {} s", PATIENCE.as_secs())),
    };
    Trial { python: Some(program.interpreter.executable), outcome }
}

/// A zygote imports the app and waits for orders, of which none come.
async fn import(program: &Program, open_files: &OpenFiles) -> Result<(String, String), String> {
    let began = || -> io::Result<_> {
        let (ours, theirs) = packet::pair()?;
        send_task(&ours, &Task::Preload(program.zygote_config()), &[])?;
        // Standard output is for the answer alone.
        let print = || io::stderr().as_fd().try_clone_to_owned();
        let streams = Streams { stdout: print()?, stderr: print()? };
        Ok((program.spawn(theirs, open_files, Some(streams))?, PacketSocket::new(ours)?))
    };
    let (mut child, socket) = began().map_err(|error| format!("it can't be started: {error}"))?;
    let said = socket.receive().await;
    let outcome = match said {
        Ok(Some((message, _))) => match decode_zygote_status(&message) {
            Ok(ZygoteStatus::Ready { app, python, .. }) => Ok((app, python)),
            Ok(ZygoteStatus::Failed { error }) => Err(error),
            Ok(ZygoteStatus::Exited { .. }) | Err(_) => {
                Err("it said what can't be understood".to_owned())
            }
        },
        _ => Err(String::new()),
    };
    if outcome.as_ref().is_err_and(String::is_empty) {
        let cause = child
            .wait()
            .await
            .map_or_else(|error| error.to_string(), |status| Cause::Ended(status).to_string());
        return Err(format!("Python ended before the app was imported: {cause}"));
    }
    let _ = child.kill().await;
    outcome
}
