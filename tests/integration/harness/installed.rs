//! A flupd that is installed somewhere, and can be replaced there while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::flupd::{self, FLUPD, Flupd};
use super::{temp_dir, wait};

/// The directory with the program and its libraries. Dropped, it ends every flupd
/// that was started from it.
pub struct Installed {
    dir: TempDir,
}

impl Installed {
    /// Installs what cargo has built.
    pub fn new() -> Self {
        let dir = temp_dir();
        // Whoever runs the gateway must be able to.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let this = Self { dir };
        for library in ["libflupd_worker.so", "libflupd_solo.so"] {
            copy(&Path::new(FLUPD).with_file_name(library), &this.dir.path().join(library));
        }
        copy(Path::new(FLUPD), &this.program());
        this
    }

    /// The program.
    pub fn program(&self) -> PathBuf {
        self.dir.path().join("flupd")
    }

    /// Puts a new program in its place, as a package manager does.
    pub fn replace(&self) {
        self.replace_with(|new| assert!(fs::copy(FLUPD, new).unwrap() > 0));
    }

    /// Puts what `make` makes at a path in its place.
    pub fn replace_with(&self, make: impl FnOnce(&Path)) {
        let new = self.dir.path().join("flupd.new");
        make(&new);
        fs::rename(new, self.program()).unwrap();
    }

    /// The process ids of all supervisors.
    pub fn supervisors(&self) -> Vec<Pid> {
        let is_one = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            words.first() == Some(&self.program().to_str().unwrap().as_bytes())
                && words.get(1) == Some(&b"serve".as_slice())
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_one).filter_map(Pid::from_raw).collect()
    }

    /// The process id of the one that is left, as soon as it is the only one.
    pub fn the_one(&self) -> Pid {
        wait::until_some("the old flupd has gone", || match &*self.supervisors() {
            [one] => Some(*one),
            _ => None,
        })
    }

    /// Gives this flupd an order, with the program that is installed now.
    pub fn order(&self, flupd: &Flupd, words: &[&str]) -> Output {
        let mut command = flupd::command();
        command.args(words).arg("--control").arg(flupd.file("app.sock.control"));
        command.output().unwrap()
    }

    /// Replaces the program of this flupd.
    pub fn upgrade(&self, flupd: &Flupd) {
        let output = self.order(flupd, &["upgrade"]);
        assert!(output.status.success(), "{output:?}\n{}", flupd.log());
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }

    /// Tries that in vain: what it says.
    pub fn upgrade_fails(&self, flupd: &Flupd) -> String {
        let output = self.order(flupd, &["upgrade"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        for signal in [Signal::TERM, Signal::TERM, Signal::KILL] {
            for pid in self.supervisors() {
                let _ = kill_process(pid, signal);
            }
            for _ in 0..100 {
                if self.supervisors().is_empty() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Another name for a file is enough where it can have one.
fn copy(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}
