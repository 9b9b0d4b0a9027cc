//! What the tests stand on: processes that clean up after themselves, the
//! example configurations booted for real, and small clients.

pub mod ability;
pub mod apache;
pub mod browser;
pub mod caddy;
pub mod digest;
pub mod example;
pub mod fcgi;
pub mod flup;
pub mod flupd;
pub mod front;
pub mod h2o;
pub mod haproxy;
pub mod http;
pub mod installed;
pub mod kept;
pub mod lighttpd;
pub mod nginx;
#[macro_use]
mod on_servers;
pub mod ports;
pub mod process;
pub mod python;
pub mod script;
pub mod stop;
pub mod terminal;
pub mod wait;

use std::path::{Path, PathBuf};

/// The path of a file of the source tree.
pub fn source(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The path of one of the test apps.
pub fn app(name: &str) -> String {
    source("tests/apps").join(name).to_str().unwrap().to_owned()
}

/// A new temporary directory, with a path short enough for a unix socket in it.
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("flupd-test-").tempdir().expect("a temporary directory")
}

/// Whether the tests run as root: the web servers then need to be told a user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
