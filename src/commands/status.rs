//! `flupd status` and `flupd trace`: what a flupd that runs does at this moment.

mod table;
pub mod units;

use std::io::{self, Write};
use std::process::ExitCode;

use super::order;
use crate::admin::{Order, Outcome};
use crate::cli::control::{ControlArgs, StatusArgs, TraceArgs};
use crate::observe::snapshot::Snapshot;

pub use self::table::{table, traces};

/// Shows workers, queues and all requests.
pub fn status(args: &StatusArgs) -> ExitCode {
    show(Order::Status { frames: false }, &args.control, |snapshot| {
        if args.json { json(snapshot) } else { table(snapshot) }
    })
}

/// Shows where the running requests are.
pub fn trace(args: &TraceArgs) -> ExitCode {
    show(Order::Status { frames: true }, &args.control, |snapshot| match args.json {
        true => json(snapshot),
        false => table::traces(snapshot, args.worker),
    })
}

fn show(order: Order, control: &ControlArgs, text: impl FnOnce(&Snapshot) -> String) -> ExitCode {
    match order::give(order, control) {
        Ok(Outcome::Status(snapshot)) => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(text(&snapshot).as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Outcome::Done | Outcome::AskAgain | Outcome::Said(_)) => ExitCode::SUCCESS,
        Ok(Outcome::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
        Err(status) => status,
    }
}

fn json(snapshot: &Snapshot) -> String {
    let mut text = serde_json::to_string_pretty(snapshot).unwrap_or_default();
    text.push('\n');
    text
}
