//! nginx, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{is_root, ports, temp_dir};

const NGINX: &str = "/usr/sbin/nginx";

/// Boots nginx with the server block that `example` makes for a port.
pub fn start(example: impl FnOnce(u16) -> Example) -> WebServer {
    let dir = temp_dir();
    let path = dir.path().display();
    let port = ports::free();
    fs::write(dir.path().join("app.conf"), example(port).text()).unwrap();
    for stock in ["fastcgi_params", "scgi_params", "mime.types"] {
        let from = format!("/etc/nginx/{stock}");
        fs::copy(&from, dir.path().join(stock)).unwrap_or_else(|e| panic!("{from}: {e}"));
    }

    // Without a word about it, root's nginx would run its worker as another user,
    // who may enter neither this directory nor flupd's socket.
    let user = if is_root() { "user root;" } else { "" };
    let temp_paths: String = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
        .concat();
    let config = format!(
        "daemon off;\n{user}\nworker_processes 1;\npid {path}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\ninclude mime.types;\naccess_log off;\n{temp_paths}include app.conf;\n}}\n"
    );
    let config_path = dir.path().join("nginx.conf");
    fs::write(&config_path, config).unwrap();

    let error_log = dir.path().join("error.log");
    let mut command = Command::new(NGINX);
    command.stdin(Stdio::null()).arg("-p").arg(dir.path());
    command.arg("-c").arg(&config_path).arg("-e").arg(&error_log);
    let process = Process::start("nginx", &mut command, dir.path().join("output.log"));
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&error_log)
    })
}
