//! A child process that ends with its owner.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::flupd::tree;
use super::wait;

/// A running program whose output goes to a log file. Dropping it ends it: by
/// SIGTERM, twice if need be, at last by SIGKILL. When the test is failing, the
/// log is shown.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes to stdout and stderr goes to `log`.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Self {
        Self::start_with(name, command, log, None)
    }

    /// The same with another place for stderr.
    pub fn start_with(
        name: &'static str,
        command: &mut Command,
        log: PathBuf,
        stderr: Option<OwnedFd>,
    ) -> Self {
        let output = File::create(&log).unwrap();
        let stderr = stderr.unwrap_or_else(|| output.try_clone().unwrap().into());
        command.stdout(output).stderr(stderr);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The command keeps its own copy of a socket handed over as stdin; a copy
        // held here would keep the socket open after the child's end.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Self { name, child, log }
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has written until now.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, by itself or by a signal already sent.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends; its log:\n{}", self.name, self.log());
        wait::until_some(&what, || self.child.try_wait().unwrap())
    }

    fn wait_for(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = self.pid();
            // A second SIGTERM makes flupd end at once.
            let ended =
                [Duration::from_secs(1), Duration::from_secs(4)].into_iter().any(|patience| {
                    let _ = kill_process(pid, Signal::TERM);
                    self.wait_for(patience)
                });
            if !ended {
                // On a busy machine Apache takes longer. Its children would stay.
                let all = tree(pid.as_raw_nonzero().get());
                for pid in all.into_iter().filter_map(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- {} ({})\n{}", self.name, self.log.display(), self.log());
        }
    }
}

/// A log file's text so far.
pub fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}
