//! The access log: what stands in it against what was sent, through real web servers.

mod cost;
mod ends;
mod fields;
mod files;

use std::fs;
use std::time::SystemTime;

use serde_json::Value;

use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

const FILE: &str = "access.log";

/// With an access log in this format.
fn logging(name: &str, format: &str) -> Serve {
    let serve = Serve::app(&app(name));
    serve.args(["--access-log", FILE, "--access-log-format", format])
}

fn lines(flupd: &Flupd) -> Vec<String> {
    // flupd listens a moment before it has opened its logs.
    let text = fs::read_to_string(flupd.file(FILE)).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text:?}");
    text.lines().map(str::to_owned).collect()
}

/// The lines once there are so many.
fn wait_for_lines(flupd: &Flupd, count: usize) -> Vec<String> {
    wait::until_some(&format!("{count} lines in the access log"), || {
        let lines = lines(flupd);
        (lines.len() >= count).then_some(lines)
    })
}

fn objects(flupd: &Flupd, count: usize) -> Vec<Value> {
    let lines = wait_for_lines(flupd, count);
    lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
