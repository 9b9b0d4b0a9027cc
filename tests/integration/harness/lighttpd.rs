//! lighttpd, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{ports, temp_dir};

const LIGHTTPD: &str = "/usr/sbin/lighttpd";

/// Boots lighttpd with this example included.
pub fn start(example: &Example) -> WebServer {
    start_with(example, |_| {})
}

/// The same, with more done to its command.
pub fn start_with(example: &Example, adapt: impl FnOnce(&mut Command)) -> WebServer {
    let dir = temp_dir();
    let path = dir.path().display();
    let port = ports::free();
    fs::write(dir.path().join("app.conf"), example.text()).unwrap();
    let error_log = dir.path().join("error.log");
    let config = format!(
        "server.document-root = \"{path}\"\n\
         server.bind = \"127.0.0.1\"\n\
         server.port = {port}\n\
         server.errorlog = \"{path}/error.log\"\n\
         server.upload-dirs = ( \"{path}\" )\n\
         mimetype.assign = ( \".css\" => \"text/css\" )\n\
         include \"app.conf\"\n"
    );
    let config_path = dir.path().join("lighttpd.conf");
    fs::write(&config_path, config).unwrap();

    let mut command = Command::new(LIGHTTPD);
    command.stdin(Stdio::null()).arg("-D").arg("-f").arg(&config_path);
    adapt(&mut command);
    let process = Process::start("lighttpd", &mut command, dir.path().join("output.log"));
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&error_log)
    })
}
