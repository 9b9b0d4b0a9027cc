//! Tells the program which build it is: commit, profile and compiler.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    let mut facts = Vec::new();
    // Only a release names its commit: a debug build would be made anew after
    // each one.
    if profile == "release" {
        // A path that is missing would mean: always.
        if std::path::Path::new(".git/logs/HEAD").exists() {
            println!("cargo::rerun-if-changed=.git/logs/HEAD");
        }
        facts.extend(
            output("git", &["rev-parse", "--short=12", "HEAD"]).map(|id| format!("commit {id}")),
        );
    }
    facts.push(format!("{profile} build"));
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    facts.extend(
        output(&rustc, &["--version"])
            .and_then(|text| text.split(' ').nth(1).map(|version| format!("rustc {version}"))),
    );
    if std::env::var_os("CARGO_FEATURE_OPENTELEMETRY").is_some() {
        facts.push("with OpenTelemetry".to_owned());
    }
    println!("cargo::rustc-env=FLUPD_BUILD={}", facts.join(", "));
}

/// What a command prints; `None` if it can't run or fails. A source archive
/// without git is an ordinary case.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
