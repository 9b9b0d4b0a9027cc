//! `flupd serve`: check the command line, then supervise.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::ServeArgs;
use crate::config::ServeConfig;
use crate::supervisor::{self, Beginning, Source};

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
    let source = Arc::new(move || Ok(ServeConfig::read(again.clone())?));
    supervise(config, source, &Beginning::default())
}

/// Runs until a signal; says in the log what went wrong.
pub(super) fn supervise(config: ServeConfig, source: Source, beginning: &Beginning) -> ExitCode {
    match supervisor::run(config, source, beginning) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
