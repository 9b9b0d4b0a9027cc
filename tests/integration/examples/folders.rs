//! No example without a test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::source;

/// All folders of examples.
pub fn folders() -> Vec<String> {
    let mut folders: Vec<_> = fs::read_dir(source(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-examples"))
        .collect();
    folders.sort();
    folders
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Each file is named by a test, and by the README beside it.
#[test]
fn every_file_is_booted() {
    let tests: String = files(&source("tests/integration"))
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let folders = folders();
    assert!(folders.len() >= 6, "{folders:?}");
    for folder in folders {
        let readme = fs::read_to_string(source(&folder).join("README.md")).unwrap();
        for path in files(&source(&folder)) {
            let name = path.strip_prefix(source(&folder)).unwrap().to_str().unwrap();
            if name == "README.md" {
                continue;
            }
            assert!(
                tests.contains(&format!("\"{folder}/{name}\"")),
                "no test boots {folder}/{name}"
            );
            assert!(readme.contains(&format!("]({name})")), "{folder}/README.md omits {name}");
        }
    }
}
