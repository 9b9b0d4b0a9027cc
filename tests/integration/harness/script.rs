//! A script that a web server starts, laid out as a user does: `app.fcgi` in the
//! site's directory, executable, and flupd on PATH.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::flupd::FLUPD;
use super::{python, source, temp_dir, wait};

/// The directory of a site. Everybody may read it: a web server may run the script
/// as another user.
pub struct Script {
    dir: TempDir,
}

impl Script {
    /// `app.fcgi` serves one of the test apps, and has these options in it.
    pub fn of(app: &str, options: &str) -> Self {
        let module = app.strip_suffix(".py").unwrap();
        let text = format!("# flupd: {options}\nfrom {module} import application\n");
        let script = Self::with(&text);
        script.add(&source("tests/apps").join(app));
        script
    }

    /// `app.fcgi` has this text, below its first line.
    pub fn with(text: &str) -> Self {
        let dir = temp_dir();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = Self { dir };
        fs::create_dir(script.bin()).unwrap();
        if everybody_may_enter(Path::new(FLUPD)) {
            symlink(FLUPD, script.bin().join("flupd")).unwrap();
        } else {
            for name in ["flupd", "libflupd_solo.so", "libflupd_worker.so"] {
                fs::copy(Path::new(FLUPD).with_file_name(name), script.bin().join(name)).unwrap();
            }
        }
        symlink(python(), script.bin().join("python3")).unwrap();
        script.write("#!/usr/bin/env flupd\n", text);
        script
    }

    /// `app.fcgi` is this file of the source tree.
    pub fn example(name: &str) -> Self {
        let script = Self::with("");
        script.write("", &fs::read_to_string(source(name)).unwrap());
        script
    }

    /// Puts another text into `app.fcgi`, in one step.
    pub fn write(&self, first: &str, text: &str) {
        let new = self.file("new");
        fs::write(&new, format!("{first}{text}")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    /// Copies a file beside the script.
    pub fn add(&self, file: &Path) {
        fs::copy(file, self.dir.path().join(file.file_name().unwrap())).unwrap();
    }

    /// The site's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The script.
    pub fn path(&self) -> PathBuf {
        self.file("app.fcgi")
    }

    /// A file in the site's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A PATH with flupd on it.
    pub fn search_path(&self) -> OsString {
        let mut path = self.bin().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    /// The processes of the script that run, whoever has started them: their
    /// environment names its directory, in PATH or elsewhere.
    pub fn processes(&self) -> Vec<i32> {
        let dir = self.dir().to_str().unwrap();
        let read = |pid: &i32, file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut found: Vec<i32> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| read(pid, "environ").contains(dir))
            .filter(|pid| {
                let name = read(pid, "comm");
                ["flupd", "python", "env", "app.fcgi"].iter().any(|ours| name.starts_with(ours))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Waits until no process of the script runs.
    pub fn wait_until_gone(&self) {
        wait::until("no process of the script is left", || self.processes().is_empty());
    }

    fn bin(&self) -> PathBuf {
        self.file("bin")
    }
}

/// A Python that everybody may run, if there is one.
fn python() -> &'static Path {
    let (own, systems) = (python::own(), Path::new("/usr/bin/python3"));
    if systems.exists() && !everybody_may_enter(own) { systems } else { own }
}

fn everybody_may_enter(file: &Path) -> bool {
    let real = file.canonicalize().unwrap();
    let mut folders = real.ancestors().skip(1);
    folders.all(|folder| fs::metadata(folder).unwrap().permissions().mode() & 0o001 != 0)
}
