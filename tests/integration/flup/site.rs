//! A script for flup in a directory of its own, and the ways in which it is served.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::example::Example;
use crate::harness::flupd::FLUPD;
use crate::harness::front::WebServer;
use crate::harness::http::{Request, Response};
use crate::harness::process::Process;
use crate::harness::{flup, lighttpd, nginx, temp_dir, wait};

/// How lighttpd runs a script that serves what it is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its first line names a Python in which the wheel is installed.
    Installed,
    /// Its first line names flupd; no flup is installed.
    Flupd,
    /// The same, with flupd's workers.
    Workers,
    /// As CGI, by that Python.
    Cgi,
    /// As CGI, by flupd.
    FlupdAsCgi,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Installed, Self::Flupd, Self::Workers, Self::Cgi, Self::FlupdAsCgi];

    /// The script's first lines.
    fn first(self) -> String {
        let callers = flup::callers().join("bin/python").display().to_string();
        match self {
            Self::Installed | Self::Cgi => format!("#!{}\n", Script::python().display()),
            Self::Flupd | Self::FlupdAsCgi => format!("#!{FLUPD}\n# flupd: --python {callers}\n"),
            Self::Workers => {
                format!("#!{FLUPD}\n# flupd: --python {callers} --workers 2 --threads 2\n")
            }
        }
    }
}

/// A script, in the directory in which it works.
pub struct Script {
    dir: TempDir,
}

impl Script {
    /// `app.fcgi` with this text below its first line.
    pub fn new(text: &str) -> Self {
        let script = Self { dir: temp_dir() };
        script.write(Way::Installed, text);
        script
    }

    /// Puts another text into `app.fcgi`, for this way.
    pub fn write(&self, way: Way, text: &str) {
        let path = self.path("app.fcgi");
        fs::write(&path, way.first() + text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The Python of the virtualenv in which our flup is.
    pub fn python() -> PathBuf {
        flup::virtualenv().join("bin/python")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("FLUPD_WORKER_LIB").env_remove("PYTHONPATH");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &Path, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a program that goes on to serve on this socket.
    pub fn serve(self, program: &Path, arguments: &[&str], socket: &Path) -> Served {
        let mut command = self.command(program, arguments);
        let mut process = Process::start("script", &mut command, self.path("log"));
        wait::until("the script accepts connections", || {
            if let Some(status) = process.ended() {
                panic!("the script ended with {status}: {}", process.log());
            }
            std::os::unix::net::UnixStream::connect(socket).is_ok()
        });
        Served { process, _script: self }
    }

    /// `python app.fcgi`, which binds the socket `app.sock`, behind nginx.
    pub fn behind_nginx(self, example: &str) -> (WebServer, Served) {
        let (python, socket) = (Self::python(), self.path("app.sock"));
        let served = self.serve(&python, &["app.fcgi"], &socket);
        (nginx_on(example, &socket), served)
    }

    /// lighttpd starts it.
    pub fn behind_lighttpd(self) -> (WebServer, Self) {
        (self.served(Way::Installed), self)
    }

    /// lighttpd starts it in this way, for which it has been written.
    pub fn served(&self, way: Way) -> WebServer {
        let example = match way {
            Way::Installed | Way::Flupd | Way::Workers => {
                let example = Example::open("lighttpd-examples/spawn-flup.conf");
                example.lighttpds_socket(&self.path("lighttpd.sock"))
            }
            Way::Cgi | Way::FlupdAsCgi => {
                let python = Self::python();
                let program = if way == Way::Cgi { &python } else { Path::new(FLUPD) };
                Example::open("lighttpd-examples/cgi.conf")
                    .with("/usr/local/bin/flupd", program.to_str().unwrap())
            }
        };
        lighttpd::start_with(&example.site(self.dir.path()), |command| {
            command.env_remove("FLUPD_WORKER_LIB").env_remove("PYTHONPATH");
            command.env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
        })
    }

    /// lighttpd starts it in each way in turn; `check` is told how.
    pub fn in_each_way(&self, text: &str, check: impl Fn(&WebServer, Way)) {
        for way in Way::ALL {
            self.write(way, text);
            check(&self.served(way), way);
        }
    }
}

/// nginx with this example, in front of this socket.
pub fn nginx_on(example: &str, socket: &Path) -> WebServer {
    nginx::start(|port| Example::open(example).listen(port).socket(socket))
}

/// A script that serves by itself.
pub struct Served {
    pub process: Process,
    // Last, so that it goes after the process.
    _script: Script,
}

impl Served {
    /// Ends it by this signal, and expects this of what it then writes.
    pub fn stop(mut self, signal: Signal, says: &str) {
        self.process.signal(signal);
        self.process.wait();
        let log = self.process.log();
        assert!(log.contains(says), "{says:?} is not in {log}");
    }
}

/// The answer to a GET.
pub fn get(web: &WebServer, target: &str) -> Response {
    Request::get(target).send(web.address()).unwrap_or_else(|e| panic!("GET {target}: {e}"))
}

/// The body of the answer, which is a 200.
pub fn page(web: &WebServer, target: &str) -> String {
    let answer = get(web, target);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), web.error_log());
    answer.text()
}
