//! Apache httpd with mod_proxy_fcgi, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::example::Example;
use super::front::WebServer;
use super::process::{self, Process};
use super::{is_root, ports, temp_dir};

const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// Boots httpd with this example, and with the modules that its `a2enmod` line names.
pub fn start_example(example: &Example) -> WebServer {
    let named = example.text().lines().find_map(|line| line.split_once("a2enmod ")).unwrap().1;
    let modules: String = ["authn_core", "authz_user"]
        .into_iter()
        .chain(named.split_whitespace())
        .filter(|name| !name.starts_with("proxy"))
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let (before, site) = example.text().split_once("<VirtualHost *:80>").unwrap();
    start(&format!("{modules}{before}{}", site.replace("</VirtualHost>", "")))
}

/// Boots httpd with `directives` for the whole server. flupd has to listen on
/// TCP: httpd does not run its children as root, and another user may not enter
/// the test's directory.
pub fn start(directives: &str) -> WebServer {
    let dir = temp_dir();
    let path = dir.path().display();
    let port = ports::free();
    let error_log = dir.path().join("error.log");
    let user = if is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_fcgi"]
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .concat();
    let config = format!(
        "ServerRoot {path}\nServerName 127.0.0.1\nListen 127.0.0.1:{port}\n\
         PidFile {path}/apache.pid\nErrorLog {path}/error.log\nDefaultRuntimeDir {path}\n\
         {modules}{user}{directives}\n"
    );
    let config_path = dir.path().join("apache.conf");
    fs::write(&config_path, config).unwrap();

    let mut command = Command::new(APACHE);
    command.stdin(Stdio::null()).arg("-DFOREGROUND").arg("-f").arg(&config_path);
    let process = Process::start("apache2", &mut command, dir.path().join("output.log"));
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&error_log)
    })
}
