//! The ways in which a script is started, as one table.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::example::Example;
use crate::harness::front::WebServer;
use crate::harness::http::{Request, Response};
use crate::harness::process::{self, Process};
use crate::harness::script::Script;
use crate::harness::{apache, lighttpd, nginx, wait};

/// Who starts the script, and how it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// lighttpd, two processes.
    LighttpdFastcgi,
    /// The same over SCGI.
    LighttpdScgi,
    /// lighttpd, one process with workers.
    LighttpdWorkers,
    /// The same over SCGI, with forked workers.
    LighttpdPreload,
    /// lighttpd, a process a request.
    LighttpdCgi,
    /// Apache with mod_fcgid.
    Fcgid,
    /// The same with a wrapper.
    FcgidWrapper,
    /// Apache, a process a request, started by a daemon of mod_cgid.
    ApacheCgid,
    /// The same by mod_cgi in a child of mpm_prefork.
    ApacheCgi,
    /// spawn-fcgi: two processes on one socket, of which nobody takes care.
    SpawnFcgi,
    /// multiwatch: two processes on one socket, which are replaced.
    Multiwatch,
}

impl Way {
    /// The options in the script.
    pub fn options(self) -> &'static str {
        match self {
            Self::LighttpdScgi => "--scgi fd:0",
            Self::LighttpdWorkers => "--workers 2 --threads 2",
            Self::LighttpdPreload => "--scgi fd:0 --workers 2 --threads 1 --preload",
            _ => "",
        }
    }

    /// Whether a process that has ended is replaced.
    pub fn is_watched(self) -> bool {
        self != Self::SpawnFcgi
    }

    /// Whether each request has a process of its own.
    pub fn is_cgi(self) -> bool {
        matches!(self, Self::LighttpdCgi | Self::ApacheCgid | Self::ApacheCgi)
    }

    /// Serves all the test apps at once.
    pub fn serve(self) -> Site {
        self.start(self.every())
    }

    /// The same with mod_fcgid's example changed.
    pub fn serve_with(self, change: impl FnOnce(Example) -> Example) -> Site {
        assert_eq!(self, Self::Fcgid);
        apache_with(self.every(), "apache-examples/mod_fcgid.conf", change)
    }

    fn every(self) -> Script {
        let script = Script::of("every.py", self.options());
        for app in ["answers.py", "echo.py", "waiting.py", "wrong.py"] {
            script.add(&crate::harness::source("tests/apps").join(app));
        }
        script
    }

    /// Starts this script; what it needs to be served in this way is in it.
    pub fn start(self, script: Script) -> Site {
        match self {
            Self::LighttpdFastcgi => lighttpd(script, "lighttpd-examples/spawn-fastcgi.conf", 2),
            Self::LighttpdScgi => lighttpd(script, "lighttpd-examples/spawn-scgi.conf", 2),
            Self::LighttpdWorkers => lighttpd(script, "lighttpd-examples/spawn-fastcgi.conf", 1),
            Self::LighttpdPreload => lighttpd(script, "lighttpd-examples/spawn-scgi.conf", 1),
            Self::LighttpdCgi => lighttpd(script, "lighttpd-examples/cgi.conf", 0),
            Self::Fcgid => apache(script, "apache-examples/mod_fcgid.conf", ""),
            Self::FcgidWrapper => apache(script, "apache-examples/mod_fcgid-wrapper.conf", ""),
            Self::ApacheCgid => apache(script, "apache-examples/cgi.conf", ""),
            Self::ApacheCgi => apache(script, "apache-examples/cgi.conf", "cgi mpm_prefork"),
            Self::SpawnFcgi => spawn_fcgi(script),
            Self::Multiwatch => multiwatch(script),
        }
    }
}

/// A script that is served. What has started it goes first when it is dropped.
pub struct Site {
    pub web: WebServer,
    /// What has started the script, if that is not the web server.
    starter: Starter,
    pub script: Script,
}

enum Starter {
    WebServer,
    Apache,
    Process(Process),
    /// It has gone; the ids of what it has left.
    Gone(Vec<Pid>),
}

impl Site {
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    pub fn send(&self, request: &Request) -> Response {
        request.send(self.web.address()).unwrap_or_else(|e| panic!("{request:?}: {e}"))
    }

    /// The process that answers.
    pub fn pid(&self) -> Pid {
        let answer = self.get("/pid");
        let text = answer.text();
        Pid::from_raw(text.parse().unwrap_or_else(|e| panic!("{e}: {answer:?}"))).unwrap()
    }

    /// Whatever was logged: by the script to standard error, by the web server.
    pub fn log(&self) -> String {
        let own = match &self.starter {
            Starter::Process(process) => process.log(),
            Starter::WebServer | Starter::Apache | Starter::Gone(_) => String::new(),
        };
        process::read(&self.script.file("app.log")) + &own + &self.web.error_log()
    }

    /// Waits until the log has this text in it.
    pub fn wait_for_log(&self, text: &str) {
        wait::until(&format!("the log has {text:?}"), || self.log().contains(text));
    }

    /// Sends the signal to what started the script, or to the script's processes if
    /// nobody takes care of them, and waits for the end of what it was sent to.
    pub fn stop(&mut self, signal: Signal) {
        match &mut self.starter {
            // Apache's children go on without it: all of them are the web server.
            Starter::Apache if signal == Signal::KILL => self.web.kill_all(),
            Starter::WebServer | Starter::Apache => self.web.stop(signal),
            Starter::Process(process) => {
                process.signal(signal);
                process.wait();
            }
            Starter::Gone(pids) => {
                for pid in pids {
                    kill_process(*pid, signal).unwrap();
                }
                self.script.wait_until_gone();
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Starter::Gone(pids) = &self.starter {
            for pid in pids {
                let _ = kill_process(*pid, Signal::TERM);
            }
        }
        if std::thread::panicking() {
            eprintln!("---- log of the script\n{}", self.log());
        }
    }
}

fn lighttpd(script: Script, name: &str, processes: usize) -> Site {
    let path = |name| script.file(name).into_os_string().into_string().unwrap();
    let example = Example::open(name)
        .site(script.dir())
        .uncomment("server.breakagelog")
        .replace("/var/log/lighttpd/app.log", &path("app.log"));
    let example = match processes {
        0 => example.replace("/usr/local/bin", &path("bin")),
        _ => example
            .replace("/run/lighttpd/mysite.sock", &path("app.sock"))
            .replace("\"max-procs\" => 4", &format!("\"max-procs\" => {processes}")),
    };
    let web = lighttpd::start_with(&example, |command| prepare(command, &script));
    Site { web, starter: Starter::WebServer, script }
}

/// `module`: another one than mod_cgid.
fn apache(script: Script, name: &str, module: &str) -> Site {
    apache_with(script, name, |example| match module {
        "" => example,
        module => example.replace("a2enmod cgid", &format!("a2enmod {module}")),
    })
}

/// Apache with a changed example, and this script for its user to start.
pub fn apache_with(script: Script, name: &str, change: impl FnOnce(Example) -> Example) -> Site {
    // Apache's user makes files there: its tests tell by them how far they are.
    fs::set_permissions(script.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    let example = Example::open(name).site(script.dir());
    let example = match name.contains("wrapper") {
        true => example.replace("/usr/local/bin", script.file("bin").to_str().unwrap()),
        false => example,
    };
    let web = apache::start_with(&change(example), |command| prepare(command, &script));
    Site { web, starter: Starter::Apache, script }
}

fn prepare(command: &mut Command, script: &Script) {
    command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("DEMO_DATA", script.dir());
}

fn nginx(socket: &Path) -> WebServer {
    nginx::start(|port| Example::open("nginx-examples/fastcgi.conf").listen(port).socket(socket))
}

fn spawn_fcgi(script: Script) -> Site {
    spawn_fcgi_behind(script, "2", nginx)
}

/// spawn-fcgi with so many processes, and this web server in front of them.
pub fn spawn_fcgi_behind(
    script: Script,
    processes: &str,
    web: impl FnOnce(&Path) -> WebServer,
) -> Site {
    let (socket, pids) = (script.file("app.sock"), script.file("pids"));
    let mut command = Command::new("/usr/bin/spawn-fcgi");
    command.arg("-s").arg(&socket).arg("-P").arg(&pids);
    command.args(["-M", "0666", "-F", processes, "--"]).arg(script.path());
    prepare(&mut command, &script);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pids = fs::read_to_string(&pids).unwrap();
    let pids = pids.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
    Site { web: web(&socket), starter: Starter::Gone(pids.collect()), script }
}

fn multiwatch(script: Script) -> Site {
    let socket = script.file("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new("/usr/bin/multiwatch");
    command.args(["-f", "2", "--"]).arg(script.path());
    prepare(&mut command, &script);
    command.stdin(OwnedFd::from(listener));
    let log = script.file("multiwatch.log");
    let process = Process::start("multiwatch", &mut command, log);
    let mode = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&socket, mode).unwrap();
    Site { web: nginx(&socket), starter: Starter::Process(process), script }
}

/// Makes of each case function a test per way: `CASE::WAY`.
macro_rules! in_ways {
    ($($case:ident),+ $(,)?) => {
        mod by {
            $(mod $case {
                in_ways!(@test $case: LighttpdFastcgi lighttpd_fastcgi, LighttpdScgi lighttpd_scgi,
                    LighttpdWorkers lighttpd_workers, LighttpdPreload lighttpd_preload,
                    LighttpdCgi lighttpd_cgi, Fcgid fcgid, FcgidWrapper fcgid_wrapper,
                    ApacheCgid apache_cgid, ApacheCgi apache_cgi,
                    SpawnFcgi spawn_fcgi, Multiwatch multiwatch);
            })+
        }
    };
    (@test $case:ident: $($way:ident $name:ident),+) => {
        $(#[test]
        fn $name() {
            super::super::$case($crate::spawned::way::Way::$way);
        })+
    };
}
