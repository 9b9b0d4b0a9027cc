//! `flupd serve`: check the command line, then supervise.

use std::process::ExitCode;

use crate::cli::ServeArgs;
use crate::config::ServeConfig;
use crate::supervisor;

/// Exit status of a command line that can't be carried out.
pub(super) const USAGE: u8 = 2;

/// Runs until a signal; says on standard error or in the log what went wrong.
pub fn run(args: ServeArgs) -> ExitCode {
    let config = match ServeConfig::read(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    supervise(config)
}

/// Runs until a signal; says in the log what went wrong.
pub(super) fn supervise(config: ServeConfig) -> ExitCode {
    match supervisor::run(config) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
