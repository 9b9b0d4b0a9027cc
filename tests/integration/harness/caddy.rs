//! Caddy, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{ports, temp_dir};

const CADDY: &str = "/usr/bin/caddy";

/// Boots Caddy with this example, and without the port on which it takes orders.
/// What it says stands in the error log.
pub fn start(example: Example) -> WebServer {
    let dir = temp_dir();
    let port = ports::free();
    // A site with a name has Caddy listen on a port for HTTP by itself.
    let has_name = !example.text().contains("\n:80 {");
    let example = match has_name {
        true => example,
        false => example.replace(":80 {", &format!("http://127.0.0.1:{port} {{")),
    };
    let http = if has_name { port } else { ports::free() };
    fs::write(dir.path().join("site.caddyfile"), example.text()).unwrap();
    let config = dir.path().join("Caddyfile");
    let global = format!("{{\n\tadmin off\n\thttp_port {http}\n\tskip_install_trust\n}}\n");
    fs::write(&config, global + "import site.caddyfile\n").unwrap();

    let mut command = Command::new(CADDY);
    command.stdin(Stdio::null()).arg("run").arg("--config").arg(&config);
    // What it keeps for itself.
    command.env("HOME", dir.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
    let log = dir.path().join("output.log");
    let process = Process::start("caddy", &mut command, log.clone());
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&log)
    })
}
