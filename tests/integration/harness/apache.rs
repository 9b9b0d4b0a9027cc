//! Apache httpd, run by any user in a temporary directory.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::example::Example;
use super::flupd::Serve;
use super::front::WebServer;
use super::process::{self, Process};
use super::{is_root, ports, temp_dir};

const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// Those of the modules that Debian enables by itself which an example may need.
const STOCK: [&str; 9] = [
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "alias",
    "dir",
    "env",
    "mime",
    "setenvif",
];

/// Boots httpd with this example, and with the modules that its `a2enmod` line names.
pub fn start(example: &Example) -> WebServer {
    start_with(example, |_| {})
}

/// The same, with more done to its command.
pub fn start_with(example: &Example, adapt: impl FnOnce(&mut Command)) -> WebServer {
    let port = ports::free();
    let named = example.text().lines().find_map(|line| line.split_once("a2enmod ")).unwrap();
    let more = named.1.split_whitespace().filter(|name| !STOCK.contains(name));
    // Only one can be there.
    let prefork = named.1.contains("mpm_prefork");
    let stock = STOCK.into_iter().filter(|name| !(prefork && *name == "mpm_event"));
    let modules = stock.chain(more);
    let modules: String = modules
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .chain(["TypesConfig /dev/null\nAddType text/css .css\n".to_owned()])
        .collect();
    let text = example.text().replace("<VirtualHost *:80>", &format!("<VirtualHost *:{port}>"));
    boot(port, &format!("{modules}{text}"), adapt)
}

fn boot(port: u16, directives: &str, adapt: impl FnOnce(&mut Command)) -> WebServer {
    let dir = temp_dir();
    open_to_www_data(dir.path());
    let path = dir.path().display();
    let error_log = dir.path().join("error.log");
    let user = if is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let config = format!(
        "ServerRoot {path}\nServerName 127.0.0.1\nListen 127.0.0.1:{port}\n\
         PidFile {path}/apache.pid\nErrorLog {path}/error.log\nDefaultRuntimeDir {path}\n\
         {user}{directives}\n\
         <IfModule cgid_module>\nScriptSock {path}/cgid.sock\n</IfModule>\n\
         <IfModule fcgid_module>\nFcgidIPCDir {path}/fcgid\n\
         FcgidProcessTableFile {path}/fcgid.table\n</IfModule>\n"
    );
    let config_path = dir.path().join("apache.conf");
    fs::write(&config_path, config).unwrap();

    let mut command = Command::new(APACHE);
    command.stdin(Stdio::null()).arg("-DFOREGROUND").arg("-f").arg(&config_path);
    // mpm_prefork signals its whole process group when it stops.
    command.process_group(0);
    adapt(&mut command);
    let process = Process::start("apache2", &mut command, dir.path().join("output.log"));
    WebServer::started(process, dir, SocketAddr::from(([127, 0, 0, 1], port)), move || {
        process::read(&error_log)
    })
}

/// Lets Apache's processes open flupd's socket: root's Apache gives up its rights.
pub fn admitted(serve: Serve) -> Serve {
    open_to_www_data(serve.dir());
    if is_root() { serve.args(["--socket-group", "www-data"]) } else { serve }
}

/// Lets other users pass through a test's directory.
pub fn open_to_www_data(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).unwrap();
}
