//! A new flupd that does not work changes nothing.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// The app waits at its import for a file.
pub(super) fn waits_for(gate: &Path) -> String {
    let old = fs::read_to_string(app("versioned.py")).unwrap();
    let gate = gate.display().to_string();
    format!("import os, time\nwhile not os.path.exists({gate:?}): time.sleep(0.01)\n{old}")
}

/// One that can't be run, ends, or is something else.
#[test]
fn a_broken_program() {
    let installed = Installed::new();
    let flupd = deployed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    let (before, pid) = (ask(&mut flupd.connect(), "/"), installed.the_one());
    let script = |text: &'static str, mode: u32| {
        move |path: &Path| {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    for (text, mode, why) in [
        ("", 0o644, "the new flupd can't be started: Permission denied"),
        ("#!/bin/sh\nexit 3\n", 0o755, "ended before it was ready (exit status 3)"),
        ("#!/bin/sh\nkill -SEGV $$\n", 0o755, "killed by signal 11 (SIGSEGV, segmentation fault)"),
    ] {
        installed.replace_with(script(text, mode));
        let said = installed.upgrade_fails(&flupd);
        assert!(said.contains(why), "{said}");
        assert_eq!(ask(&mut flupd.connect(), "/"), before);
    }
    assert_eq!(count(&flupd, "the upgrade has failed; this flupd goes on"), 3);
    installed.replace();
    installed.upgrade(&flupd);
    assert_ne!(installed.the_one(), pid);
    assert_ne!(ask(&mut flupd.connect(), "/"), before);
}

/// A configuration that can't be read, and an app that can't be imported.
#[test]
fn a_broken_deploy() {
    let installed = Installed::new();
    let good = |workers: &str| {
        format!(
            "[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.app]\napp = \"versioned:application\"\n\
             workers = {workers}\n"
        )
    };
    // With one worker "ready" means that nobody of the old ones still imports.
    let serve = Serve::config(&good("1")).installed(&installed);
    fs::copy(app("versioned.py"), serve.dir().join("versioned.py")).unwrap();
    let flupd = serve.on_its_socket();
    flupd.wait_for_log("ready");
    let pid = installed.the_one();
    let tree = flupd.tree();
    flupd.write_config(&good("\"many\""));
    let said = installed.upgrade_fails(&flupd);
    assert!(said.contains("flupd.toml:"), "{said}");
    flupd.write_config(&good("1"));
    for (broken, why) in [("1 +\n", "SyntaxError"), ("import os; os._exit(7)\n", "exit status 7")] {
        fs::write(flupd.file("versioned.py"), broken).unwrap();
        let said = installed.upgrade_fails(&flupd);
        assert!(said.contains(why), "{said}");
        assert_eq!(installed.the_one(), pid);
        ask(&mut flupd.connect(), "/");
    }
    wait::until("nobody is left of the new ones", || flupd.tree() == tree);
    assert!(flupd.socket().exists() && flupd.file("app.sock.control").exists());
}

/// The new one is killed while it starts.
#[test]
fn a_kill_in_between() {
    let installed = Installed::new();
    let flupd = deployed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    let (before, old) = (ask(&mut flupd.connect(), "/"), installed.the_one());
    replace(&flupd.file("versioned.py"), &waits_for(&flupd.file("gate")));
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| installed.upgrade_fails(&flupd));
        wait::until("the new one starts", || count(&flupd, "INFO starting ") == 2);
        let new = installed.supervisors().into_iter().find(|pid| *pid != old).unwrap();
        kill_process(new, Signal::KILL).unwrap();
        let said = upgrade.join().unwrap();
        assert!(said.contains("killed by signal 9"), "{said}");
    });
    assert_eq!(ask(&mut flupd.connect(), "/"), before);
    fs::write(flupd.file("gate"), "").unwrap();
    installed.upgrade(&flupd);
    assert_ne!(ask(&mut flupd.connect(), "/"), before);
}

/// The old one is stopped while the new one starts: both end.
#[test]
fn a_stop_in_between() {
    let installed = Installed::new();
    let mut flupd = deployed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    replace(&flupd.file("versioned.py"), &waits_for(&flupd.file("gate")));
    let said = thread::scope(|scope| {
        let upgrade = scope.spawn(|| installed.upgrade_fails(&flupd));
        wait::until("the new one starts", || count(&flupd, "INFO starting ") == 2);
        flupd.signal(Signal::TERM);
        upgrade.join().unwrap()
    });
    assert!(said.contains("flupd is stopping"), "{said}");
    assert!(flupd.wait().success());
    wait::until("the new one has ended", || installed.supervisors().is_empty());
    assert!(!flupd.socket().exists() && !flupd.file("app.sock.control").exists());
}

/// The old one dies while the new one starts: it was not told to take over, and
/// whoever has started flupd shall see that it has ended.
#[test]
fn a_death_in_between() {
    let installed = Installed::new();
    let mut flupd = deployed(&installed).on_fastcgi();
    flupd.wait_for_log("ready");
    replace(&flupd.file("versioned.py"), &waits_for(&flupd.file("gate")));
    flupd.signal(Signal::USR2);
    wait::until("the new one starts", || count(&flupd, "INFO starting ") == 2);
    flupd.signal(Signal::KILL);
    assert!(!flupd.wait().success());
    wait::until("the new one has ended", || installed.supervisors().is_empty());
}
