//! Which Pythons there are.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An interpreter that flupd supports.
#[derive(Debug, Clone)]
pub struct Python {
    pub executable: PathBuf,
    /// Such as `3.11.7`.
    pub version: String,
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {} ({})", self.version, self.executable.display())
    }
}

/// All interpreters from 3.9 to 3.13 on PATH, in pyenv and in /usr/bin; at
/// least one.
pub fn pythons() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut seen = BTreeSet::new();
        let found: Vec<_> = candidates()
            .into_iter()
            .filter_map(|candidate| probe(&candidate))
            .filter(|(_, base)| seen.insert(base.clone()))
            .map(|(python, _)| python)
            .collect();
        assert!(!found.is_empty(), "no Python from 3.9 to 3.13 was found");
        for python in &found {
            println!("testing with {python}");
        }
        found
    })
}

fn candidates() -> Vec<PathBuf> {
    let names = ["python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/bin".into());
    let mut found: Vec<PathBuf> =
        folders.iter().flat_map(|folder| names.map(|name| folder.join(name))).collect();
    if let Some(home) = std::env::var_os("HOME")
        && let Ok(versions) = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"))
    {
        let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
        versions.sort();
        found.extend(versions.iter().map(|version| version.join("bin/python3")));
    }
    found.retain(|candidate| candidate.exists());
    found
}

/// The interpreter's version, and the real file behind shims and links.
fn probe(candidate: &Path) -> Option<(Python, PathBuf)> {
    let ask = "import sys, os; print('%d.%d.%d' % sys.version_info[:3]); \
               print(sys.executable); print(os.path.realpath(sys.executable))";
    let output = Command::new(candidate).args(["-c", ask]).output().ok()?;
    let output = String::from_utf8(output.stdout).ok()?;
    let mut lines = output.lines();
    let version = lines.next()?.to_owned();
    let executable = PathBuf::from(lines.next()?);
    let real = PathBuf::from(lines.next()?);
    let minor: u32 = version.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
    (9..=13).contains(&minor).then_some((Python { executable, version }, real))
}
