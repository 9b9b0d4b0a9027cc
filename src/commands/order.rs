//! `flupd reload`, `upgrade`, `scale`, `restart`, `stop`, `reopen-logs` and `log-level`: orders for a flupd that
//! runs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::admin::client::ask;
use crate::admin::{Order, Outcome};
use crate::cli::control::{ControlArgs, ScaleArgs};
use crate::config::{ServeConfig, beside};

/// Where a flupd without options has its FastCGI socket.
const DEFAULT_SOCKET: &str = "flupd.sock";

/// What says where the control socket is, if no option does.
const VARIABLE: &str = "FLUPD_CONTROL";

/// Gives the order and says on standard error what kept it from being done: then
/// the exit status is 1, and 2 if the configuration file can't be read.
pub fn run(order: Order, args: &ControlArgs) -> ExitCode {
    match give(order, args) {
        Ok(Outcome::Done | Outcome::AskAgain | Outcome::Status(_)) => ExitCode::SUCCESS,
        Ok(Outcome::Said(text)) => {
            // Who does not read does not want to know.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Ok(Outcome::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
        Err(status) => status,
    }
}

/// Orders another number of workers; a number that is none gives 2.
pub fn scale(args: &ScaleArgs) -> ExitCode {
    match args.order() {
        Ok(order) => run(order, &args.control),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// The same, for an order whose outcome is to be shown. What kept it from being
/// given has been said, and this is the exit status.
pub(super) fn give(order: Order, args: &ControlArgs) -> Result<Outcome, ExitCode> {
    let path = socket(args).map_err(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })?;
    ask(&path, order).map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Where the flupd listens that is meant.
///
/// # Errors
/// When the configuration file can't be read, or names none.
pub(super) fn socket(args: &ControlArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.control {
        return Ok(path.clone());
    }
    if let Some(file) = &args.config {
        let path = ServeConfig::control_socket(file)?;
        let why = "this file has no control socket; add control = \"PATH\"";
        return path.ok_or_else(|| anyhow::anyhow!("{}: {why}", file.display()));
    }
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    Ok(variable.map_or_else(|| beside(DEFAULT_SOCKET.as_ref()), PathBuf::from))
}
