//! `flupd check`: whether `flupd serve` with the same arguments could start, and
//! what it would run with.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::ServeArgs;
use crate::config::ServeConfig;
use crate::supervisor::trial;

/// Exit status of a configuration that can't be used, as of `serve`.
const USAGE: u8 = 2;

/// Exit status when an app can't be imported, or the answer not be written.
const FAILURE: u8 = 1;

/// Checks the configuration, imports each app once, and writes the configuration
/// with all its defaults to standard output. What is wrong goes to standard
/// error.
pub fn run(args: ServeArgs) -> ExitCode {
    let config = match ServeConfig::read(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let trials = match trial::run(&config) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(FAILURE);
        }
    };
    let mut good = true;
    for (app, trial) in config.apps.values().zip(&trials) {
        let name = app.name.as_deref().unwrap_or(&app.app);
        match &trial.outcome {
            Ok((callable, python)) => eprintln!("ok: {name}: {callable} on Python {python}"),
            Err(error) => {
                let error = error.trim_end().replace('\n', "\n    ");
                eprintln!("error: {name}: the app can't be imported: {error}");
                good = false;
            }
        }
    }
    let pythons = config.apps.keys().zip(trials);
    let pythons = pythons.filter_map(|(id, trial)| Some((*id, trial.python?))).collect();
    let text = config.resolved(&pythons);
    let written = io::stdout().write_all(text.as_bytes()).is_ok();
    if good && written { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) }
}
