//! H2O, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{is_root, ports, temp_dir};

const H2O: &str = "/usr/bin/h2o";

/// Boots H2O with this example in the place of `listen` and `hosts`.
pub fn start(example: Example) -> WebServer {
    start_with(example, |_| {})
}

/// The same, with more done to its command.
pub fn start_with(example: Example, adapt: impl FnOnce(&mut Command)) -> WebServer {
    let dir = temp_dir();
    let path = dir.path().display();
    let port = ports::free();
    // On this address only; `host` stands where `port` does.
    let text = example.text();
    let line = text.lines().find(|line| line.trim_start() == "port: 80").unwrap_or_default();
    let indent = line.split("port").next().unwrap_or_default().to_owned();
    let example =
        example.replace("port: 80\n", &format!("port: {port}\n{indent}host: 127.0.0.1\n"));
    let user = if is_root() { "user: root\n" } else { "" };
    let config = dir.path().join("h2o.conf");
    let stock = format!("{user}error-log: {path}/error.log\npid-file: {path}/h2o.pid\n");
    fs::write(&config, format!("{stock}{}", example.text())).unwrap();

    let mut command = Command::new(H2O);
    command.stdin(Stdio::null()).arg("-c").arg(&config);
    adapt(&mut command);
    let error_log = dir.path().join("error.log");
    let process = Process::start("h2o", &mut command, dir.path().join("output.log"));
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&error_log)
    })
}
