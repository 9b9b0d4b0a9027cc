//! flupd: the FastCGI/SCGI gateway daemon for Python.
//!
//! This library is the program `flupd` ([`main`]), and the part of it that runs
//! inside the user's interpreter in solo mode ([`solo`]).

// Nearly all of it has no callers outside: `pub` says what other modules use.
#![allow(unreachable_pub)]

mod admin;
mod cli;
mod commands;
mod config;
mod control;
pub mod embedded;
mod gateway;
mod inherited;
mod jitter;
mod observe;
mod supervisor;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::admin::Order;
use crate::cli::{Cli, Command};
pub use crate::gateway::solo;

/// The program: does what its command line says.
#[must_use]
pub fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    commands::run::understand(&mut words);
    match Cli::read(&words).unwrap_or_else(|error| error.exit()).command {
        Command::Serve(args) => commands::serve::run(*args),
        Command::Run(args) => commands::run::run(&args, words),
        Command::Check(args) => commands::check::run(*args),
        Command::Status(args) => commands::status::status(&args),
        Command::Top(args) => commands::top::run(&args),
        Command::Trace(args) => commands::status::trace(&args),
        Command::Reload(args) => {
            let canary = args.canary();
            commands::order::run(Order::Reload { app: args.app, canary }, &args.control)
        }
        Command::Upgrade(args) => commands::order::run(Order::Upgrade, &args),
        Command::Restart(args) => {
            commands::order::run(Order::Restart { app: args.app }, &args.control)
        }
        Command::Scale(args) => commands::order::scale(&args),
        Command::Stop(args) => commands::order::run(Order::Stop, &args),
        Command::ReopenLogs(args) => commands::order::run(Order::ReopenLogs, &args),
        Command::LogLevel(args) => {
            commands::order::run(Order::LogLevel { level: args.level }, &args.control)
        }
        Command::Request(args) => commands::request::run(&args),
        Command::Gateway => commands::gateway::run(),
    }
}
