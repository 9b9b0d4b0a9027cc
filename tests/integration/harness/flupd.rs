//! flupd itself: the binary under test, started as a user starts it.

use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::installed::Installed;
use super::process::Process;
use super::{is_root, python, temp_dir, wait};

/// The binary that cargo has built for these tests.
pub const FLUPD: &str = env!("CARGO_BIN_EXE_flupd");

/// A `flupd` command, with everything a test needs checked once.
pub fn command() -> Command {
    static CHECKED: OnceLock<()> = OnceLock::new();
    CHECKED.get_or_init(|| {
        let worker = Path::new(FLUPD).with_file_name("libflupd_worker.so");
        assert!(
            worker.exists(),
            "{} is missing, for `cargo test` does not build it: \
             run `make test`, or `cargo build --workspace` first",
            worker.display()
        );
    });
    let mut command = Command::new(FLUPD);
    // The tests' own environment must not decide which Python runs.
    command.env_remove("VIRTUAL_ENV").env("PATH", python::search_path());
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

/// `flupd serve APP`, being put together.
pub struct Serve {
    command: Command,
    stderr: Option<OwnedFd>,
    dir: TempDir,
}

impl Serve {
    /// Serves `app`, with one worker of two threads unless [`Serve::args`] says
    /// otherwise: enough for most tests and quick to start.
    pub fn app(app: &str) -> Self {
        let dir = temp_dir();
        let mut command = command();
        command.current_dir(dir.path()).args(["serve", app]);
        Self { command, stderr: None, dir }
    }

    /// Serves what this configuration file says; `DIR` in it is the directory in
    /// which the file stands. Nothing is added to it.
    pub fn config(text: &str) -> Self {
        let dir = temp_dir();
        fs::write(dir.path().join("flupd.toml"), config_text(text, dir.path())).unwrap();
        let mut command = command();
        // Relative paths are meant from the file, wherever flupd is started.
        command.arg("serve").arg("--config").arg(dir.path().join("flupd.toml"));
        Self { command, dir, stderr: None }
    }

    /// Starts the flupd that is installed there.
    pub fn installed(mut self, installed: &Installed) -> Self {
        let mut command = Command::new(installed.program());
        command.args(self.command.get_args()).stdin(Stdio::null());
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.command = command;
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Hands over a socket, or anything else, as file descriptor 0.
    pub fn stdin(mut self, stdin: OwnedFd) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Hands over where standard error goes; otherwise it is [`Flupd::log`].
    pub fn stderr(mut self, stderr: OwnedFd) -> Self {
        self.stderr = Some(stderr);
        self
    }

    /// The directory in which it will run, which lives as long as flupd does.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it, and returns when [`Flupd::socket`] accepts connections.
    pub fn on_its_socket(self) -> Flupd {
        let address = format!("unix:{}/app.sock", self.dir().display());
        let mut flupd = self.start();
        flupd.wait_until_accepting(&address);
        flupd
    }

    /// Starts it on the FastCGI socket [`Flupd::socket`], and returns when that
    /// accepts connections.
    pub fn on_fastcgi(self) -> Flupd {
        self.on_socket("--fastcgi")
    }

    /// Starts it on the SCGI socket [`Flupd::socket`], and returns when that
    /// accepts connections.
    pub fn on_scgi(self) -> Flupd {
        self.on_socket("--scgi")
    }

    /// As [`Serve::on`], on the socket [`Flupd::socket`].
    pub fn on_socket(self, option: &str) -> Flupd {
        let address = format!("unix:{}/app.sock", self.dir().display());
        self.on(option, &address)
    }

    /// Starts it on the address of `--fastcgi` or `--scgi`, and returns when that
    /// accepts connections.
    pub fn on(self, option: &str, address: &str) -> Flupd {
        let mut flupd = self.args([option, address]).start();
        flupd.wait_until_accepting(address);
        flupd
    }

    /// Starts it and returns at once.
    pub fn start(mut self) -> Flupd {
        let whole = self.command.get_args().any(|given| given == "--config");
        for (option, few) in
            [("--workers", "1"), ("--threads", "2")].into_iter().skip_while(|_| whole)
        {
            let given = |other| self.command.get_args().any(|given| given == other);
            let alone = option == "--threads" && given("--solo");
            if !given(option) && !alone {
                self.command.args([option, few]);
            }
        }
        let log = self.dir.path().join("flupd.log");
        if is_root() && !whole && !self.command.get_args().any(|given| given == "--user") {
            self.command.args(["--user", "root"]);
        }
        let process = Process::start_with("flupd", &mut self.command, log, self.stderr);
        Flupd { process, dir: self.dir }
    }

    /// Runs a flupd that is to fail at start: its exit code and its output.
    pub fn refused(self) -> (Option<i32>, String) {
        let mut flupd = self.start();
        let status = flupd.wait();
        (status.code(), flupd.log())
    }
}

/// The text of a configuration file for [`Serve::config`].
fn config_text(text: &str, dir: &Path) -> String {
    let text = text.replace("DIR", dir.to_str().unwrap());
    // Without a word about it, root's flupd would not run the app.
    match is_root() && !text.contains("\nuser = ") {
        true => text.replace("\napp = ", "\nuser = \"root\"\napp = "),
        false => text,
    }
}

/// A flupd that runs.
pub struct Flupd {
    process: Process,
    // Last, so that it goes after the process.
    dir: TempDir,
}

impl Flupd {
    /// The unix socket of [`Serve::on_fastcgi`] and [`Serve::on_scgi`].
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("app.sock")
    }

    /// The same in the way addresses are written.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// A path in the directory in which it runs, for a file that app and test both know.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A connection to its socket, with a deadline on reads.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        stream
    }

    /// Puts another configuration file in the place of that of [`Serve::config`], as
    /// a deploy does: it is never half there.
    pub fn write_config(&self, text: &str) {
        let new = self.file("flupd.toml.new");
        fs::write(&new, config_text(text, self.dir.path())).unwrap();
        fs::rename(new, self.file("flupd.toml")).unwrap();
    }

    /// Gives it an order over the control socket that goes with [`Flupd::socket`], as
    /// an administrator does: `flupd WORDS`.
    pub fn order(&self, words: &[&str]) -> Output {
        let socket = self.file("app.sock.control");
        command().args(words).arg("--control").arg(socket).output().unwrap()
    }

    /// Waits until so many workers are ready. One that still imports would find the
    /// code that a test deploys meanwhile.
    pub fn wait_for_workers(&self, count: usize) {
        wait::until("all workers are ready", || {
            let told = self.order(&["status", "--json"]).stdout;
            String::from_utf8_lossy(&told).replace(' ', "").matches("\"state\":\"ready\"").count()
                == count
        });
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until its log has this text in it.
    pub fn wait_for_log(&self, text: &str) {
        wait::until(&format!("flupd logs {text:?}"), || self.log().contains(text));
    }

    /// Waits until `unix:PATH` or `HOST:PORT` accepts a connection.
    pub fn wait_until_accepting(&mut self, address: &str) {
        wait::until(&format!("flupd accepts connections on {address}"), || {
            if let Some(status) = self.process.ended() {
                panic!("flupd ended with {status}");
            }
            match address.strip_prefix("unix:") {
                Some(path) => UnixStream::connect(path).is_ok(),
                None => TcpStream::connect(address).is_ok(),
            }
        });
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> rustix::process::Pid {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait()
    }

    /// The gateway's process id.
    pub fn gateway(&self) -> Pid {
        let is_gateway = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"flupd:\0gateway\0")
        };
        let found = || self.tree().into_iter().find(is_gateway).and_then(Pid::from_raw);
        wait::until_some("there is a gateway", found)
    }

    /// How many sockets it has open, in all its processes.
    pub fn sockets(&self) -> usize {
        let open = |pid| fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let is_socket = |path: PathBuf| path.to_string_lossy().starts_with("socket:");
        let links = self.tree().into_iter().flat_map(open).map(|entry| fs::read_link(entry.path()));
        links.filter(|link| link.as_ref().is_ok_and(|path| is_socket(path.clone()))).count()
    }

    /// The same once it has started wholly: what passed a new process its sockets is
    /// closed a little after it has said that it is ready.
    pub fn resting_sockets(&self) -> usize {
        let mut before = self.sockets();
        wait::until_some("the number of sockets stays the same", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let now = self.sockets();
            (std::mem::replace(&mut before, now) == now).then_some(now)
        })
    }

    /// The process ids of the supervisor and everything it has started.
    pub fn tree(&self) -> Vec<i32> {
        tree(self.process.pid().as_raw_nonzero().get())
    }
}

/// This process and everything that it has started, and so on.
pub fn tree(first: i32) -> Vec<i32> {
    let mut tree = vec![first];
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, parent(pid)?)))
        .collect();
    let mut at = 0;
    while let Some(&pid) = tree.get(at) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(pid, _)| pid));
        at += 1;
    }
    tree
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
