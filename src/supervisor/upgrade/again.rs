//! How this flupd was started, to start another in the same way.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The program and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Again {
    /// The path by which it was called, not what that led to: a link may lead to
    /// another version tomorrow.
    pub(in crate::supervisor) program: PathBuf,
    /// What it was called, and what was said to it.
    pub(in crate::supervisor) words: Vec<OsString>,
}

impl Again {
    /// As this process was started. To be called at its start, while its file is
    /// still there.
    ///
    /// # Errors
    /// When it can't be found out.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let words: Vec<_> = std::env::args_os().collect();
        let called = words.first().map(PathBuf::from).unwrap_or_default();
        let known = std::env::current_exe()?;
        let program = match find(&called, std::env::var_os("PATH")) {
            Some(found) if is_same(&found, &known) => found,
            // It was called something else than it is.
            _ => known,
        };
        Ok(Self { program, words })
    }
}

/// Where a shell would find a program that is called so.
fn find(called: &Path, path: Option<OsString>) -> Option<PathBuf> {
    if called.components().count() > 1 || called.is_absolute() {
        return std::path::absolute(called).ok();
    }
    let path = path?;
    let mut places = std::env::split_paths(&path).map(|place| place.join(called));
    let found = places.find(|place| place.is_file())?;
    std::path::absolute(found).ok()
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_searched_and_a_path_is_taken() {
        let room = tempfile::tempdir().unwrap();
        let there = room.path().join("flupd");
        std::fs::write(&there, "").unwrap();
        let path = OsString::from(format!("/nowhere:{}", room.path().display()));
        assert_eq!(find(Path::new("flupd"), Some(path.clone())), Some(there));
        assert_eq!(find(Path::new("no-such"), Some(path)), None);
        assert_eq!(find(Path::new("/opt/flupd"), None), Some("/opt/flupd".into()));
        assert!(find(Path::new("./flupd"), None).is_some_and(|found| found.is_absolute()));
    }

    #[test]
    fn a_link_is_kept_as_it_is() {
        let room = tempfile::tempdir().unwrap();
        let (file, link) = (room.path().join("1.0"), room.path().join("current"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(is_same(&file, &link) && !is_same(&file, room.path()));
        assert!(!is_same(&file, Path::new("/nowhere")));
    }
}
