//! `flupd check`: what is wrong before anything is started, and what would run.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{app, flupd, is_root, temp_dir};

/// With the user that root has to name.
fn check(dir: &Path, args: &[&str]) -> Output {
    let mut command: Command = flupd::command();
    command.current_dir(dir).arg("check").args(args);
    if is_root() && args.first() != Some(&"--config") {
        command.args(["--user", "root"]);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn user() -> &'static str {
    if is_root() { "user = \"root\"\n" } else { "" }
}

#[test]
fn a_command_line_becomes_a_file_that_says_the_same() {
    let dir = temp_dir();
    fs::write(dir.path().join("hello.py"), "print('printed')\ndef app(environ, start): pass\n")
        .unwrap();
    let output = check(dir.path(), &["hello:app", "--workers", "3", "--queue", "7"]);
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ok: hello:app: hello:app on Python 3."), "{said}");
    assert!(said.contains("printed\n") && !told.contains("printed"), "{told}");
    let here = fs::canonicalize(dir.path()).unwrap();
    let socket = format!("fastcgi = \"unix:{}/flupd.sock\"  # default", here.display());
    for line in [&*socket, "workers = 3", "threads = 4  # default", "queue = 7", "[apps.app]"] {
        assert!(told.lines().any(|one| one == line), "{line}\n{told}");
    }
    // What it prints can be used, from anywhere.
    let elsewhere = temp_dir();
    fs::write(elsewhere.path().join("flupd.toml"), &told).unwrap();
    let again = check(elsewhere.path(), &["--config", "flupd.toml"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let plain = |told: &str| told.replace("  # default", "");
    assert_eq!(plain(&text(&again.stdout)), plain(&told));
}

#[test]
fn an_app_that_can_not_be_imported_is_said_with_its_traceback() {
    let dir = temp_dir();
    let toml = format!(
        "[apps.bad]\napp = \"bad.py\"\nprefix = \"/bad\"\n{0}\
         [apps.dies]\napp = \"dies.py\"\nprefix = \"/dies\"\n{0}\
         [apps.python]\napp = \"x\"\npython = \"no/such\"\nprefix = \"/python\"\n{0}\
         [apps.good]\napp = {1:?}\nsolo = false\n{0}",
        user(),
        app("wrong.py"),
    );
    fs::write(dir.path().join("flupd.toml"), toml).unwrap();
    fs::write(dir.path().join("bad.py"), "import no_such_module\n").unwrap();
    fs::write(dir.path().join("dies.py"), "import os\nos._exit(3)\n").unwrap();
    let output = check(dir.path(), &["--config", "flupd.toml"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "error: bad: the app can't be imported: running bad.py failed",
        "ModuleNotFoundError: No module named 'no_such_module'",
        "error: dies: the app can't be imported: Python ended before the app was imported: exit status 3",
        "error: python: the app can't be imported: there is no Python at ",
        "ok: good: ",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_mistake_in_the_file_is_all_that_is_said() {
    let dir = temp_dir();
    fs::write(dir.path().join("flupd.toml"), "[apps.shop]\nwokers = 2\n").unwrap();
    let output = check(dir.path(), &["--config", "flupd.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: flupd.toml:2:1: there is no key wokers here; did you mean workers?\n";
    assert_eq!((text(&output.stderr).as_str(), &*output.stdout), (expected, &b""[..]));
}

#[test]
fn nothing_is_left_behind() {
    let dir = temp_dir();
    fs::write(
        dir.path().join("slow.py"),
        "import os\nopen('pid', 'w').write(str(os.getpid()))\ndef app(e, s): pass\n",
    )
    .unwrap();
    let output = check(dir.path(), &["slow:app", "--preload"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid).exists());
    assert!(!dir.path().join("flupd.sock").exists());
}
