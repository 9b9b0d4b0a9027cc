//! flupd from the user's end: the real daemon, real web servers, real Pythons.
//!
//! One binary, so that all tests run side by side. Each test starts its own
//! processes in its own temporary directory, on free ports of 127.0.0.1, and
//! stops them again, also when it fails. Nothing here waits for a fixed time:
//! tests wait for what they expect, up to a long deadline.
// This whole crate is test code, so the exemptions for tests hold everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[macro_use]
mod harness;

mod access_log;
mod admission;
mod app_loading;
mod canary;
mod cancelled;
mod check_command;
mod configuration;
mod crashes;
mod dashboard;
mod early_answers;
mod examples;
mod flup;
mod frameworks;
mod interpreters;
mod limits;
mod listeners;
mod log_files;
mod logs;
mod metrics;
mod multiplexing;
mod orders;
mod output;
mod preload;
mod privileges;
mod probe;
mod raw_fastcgi;
mod raw_scgi;
mod recycling;
mod reload;
mod reload_load;
mod repeats;
mod request_command;
mod roles;
mod servers;
mod shutdown;
mod solo;
mod solo_limits;
mod solo_status;
mod spawned;
mod status;
mod timeouts;
mod top;
mod tracing;
mod upgrade;
mod workers;
