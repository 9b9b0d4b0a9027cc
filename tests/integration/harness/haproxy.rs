//! HAProxy, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{ports, temp_dir};

const HAPROXY: &str = "/usr/sbin/haproxy";

/// What stands in Debian's haproxy.cfg, to which a user appends the example. Not
/// so: the chroot and the user, which take root's rights, and the log's address.
const STOCK: &str = "\
global
    log stderr format raw local0
defaults
    log global
    mode http
    option httplog
    option dontlognull
    timeout connect 5000
    timeout client 50000
    timeout server 50000
";

/// Boots HAProxy with this example behind Debian's configuration. What it says to
/// its log stands in the error log.
pub fn start(example: Example) -> WebServer {
    let dir = temp_dir();
    let port = ports::free();
    let example = example.replace("bind :80", &format!("bind 127.0.0.1:{port}"));
    let config = dir.path().join("haproxy.cfg");
    fs::write(&config, format!("{STOCK}\n{}", example.text())).unwrap();

    let mut command = Command::new(HAPROXY);
    command.stdin(Stdio::null()).arg("-db").arg("-f").arg(&config);
    let log = dir.path().join("output.log");
    let process = Process::start("haproxy", &mut command, log.clone());
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&log)
    })
}
