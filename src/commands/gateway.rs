//! `flupd gateway`: the process between web server and workers, started by the
//! supervisor.

use std::process::ExitCode;

use crate::supervisor::spawn::SOCKET_FD;
use crate::{gateway, inherited};

/// Runs until the supervisor says stop, or is gone.
pub fn run() -> ExitCode {
    // Started through /proc/self/exe, it would be called "exe".
    let _ = rustix::thread::set_name(c"flupd");
    let Ok(control) = inherited::take(SOCKET_FD) else {
        eprintln!("error: this command is for `flupd serve` to start; use that one");
        return ExitCode::from(2);
    };
    match gateway::run(control, None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "gateway can't go on");
            ExitCode::FAILURE
        }
    }
}
