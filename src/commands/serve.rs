//! `flupd serve`: check the command line, then supervise.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::ServeArgs;
use crate::config::ServeConfig;
use crate::supervisor::{self, Source};

/// Exit status of a command line that can't be carried out.
pub(super) const USAGE: u8 = 2;

/// Runs until a signal; says on standard error or in the log what went wrong.
pub fn run(args: ServeArgs) -> ExitCode {
    let again = args.clone();
    let config = match ServeConfig::read(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    supervise(config, Arc::new(move || Ok(ServeConfig::read(again.clone())?)))
}

/// Runs until a signal; says in the log what went wrong.
pub(super) fn supervise(config: ServeConfig, source: Source) -> ExitCode {
    match supervisor::run(config, source) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
