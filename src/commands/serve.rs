//! `flupd serve`: check the command line, then supervise.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::ServeArgs;
use crate::config::ServeConfig;
use crate::supervisor::{self, Beginning, Lineage, Source};

/// Exit status of a command line that can't be carried out.
pub(super) const USAGE: u8 = 2;

/// Runs until a signal; says on standard error or in the log what went wrong.
pub fn run(args: ServeArgs) -> ExitCode {
    // Before anything is opened.
    let lineage = match Lineage::of_this_process() {
        Ok(lineage) => lineage,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let written = args.clone();
    let config = match ServeConfig::read(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            lineage.refuse(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let source: Source = Arc::new(move || Ok(ServeConfig::read(written.clone())?));
    supervise(config, source, lineage, &Beginning::default())
}

/// Runs until a signal; says in the log what went wrong.
pub(super) fn supervise(
    config: ServeConfig,
    source: Source,
    lineage: Lineage,
    beginning: &Beginning,
) -> ExitCode {
    match supervisor::run(config, source, lineage, beginning) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
