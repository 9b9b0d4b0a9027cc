//! Apps whose workers come and go, and an upgrade in the middle.

use super::*;

/// What `flupd status` tells of the app: whether it sleeps.
fn sleeps(installed: &Installed, flupd: &Flupd) -> bool {
    let output = installed.order(flupd, &["status", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    told["apps"][0]["asleep"] == true && told["apps"][0]["workers"] == serde_json::json!([])
}

/// It sleeps before and after, and the connection that is kept wakes it in both.
#[test]
fn an_app_that_sleeps_wakes_in_the_new_one() {
    let installed = Installed::new();
    let flupd =
        deployed(&installed).args(["--workers", "on-demand", "--idle-timeout", "0.2"]).on_fastcgi();
    flupd.wait_for_log("ready");
    let mut kept = flupd.connect();
    let before = ask(&mut kept, "/");
    for _ in 0..2 {
        wait::until("it sleeps", || sleeps(&installed, &flupd));
        installed.replace();
        installed.upgrade(&flupd);
        installed.the_one();
        wait::until("it sleeps again", || sleeps(&installed, &flupd));
    }
    assert_ne!(ask(&mut kept, "/"), before, "another worker answers");
    assert!(!flupd.log().contains("ERROR"), "{}", flupd.log());
}

/// A request wakes it while the new flupd still imports it: it is answered.
#[test]
fn an_app_that_is_woken_in_the_middle() {
    let installed = &Installed::new();
    let serve = deployed(installed).args(["--workers", "on-demand", "--idle-timeout", "0.2"]);
    let (gate, reached) = (serve.dir().join("gate"), serve.dir().join("reached"));
    let flupd = &serve.on_fastcgi();
    flupd.wait_for_log("ready");
    wait::until("it sleeps", || sleeps(installed, flupd));
    let path = flupd.file("versioned.py");
    let old = fs::read_to_string(&path).unwrap();
    let at_gate = failures::waits_for(&gate);
    replace(&path, &format!("open({:?}, 'a').close()\n{at_gate}", reached.to_str().unwrap()));
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| installed.upgrade(flupd));
        wait::until_exists(&reached);
        // Whoever wakes in the old one imports what is there now.
        replace(&path, &old.replace("VERSION = \"1\"", "VERSION = \"2\""));
        let answer = ask(&mut flupd.connect(), "/");
        assert!(answer.starts_with("2 "), "{answer}");
        assert!(!upgrade.is_finished());
        fs::write(gate, "").unwrap();
        upgrade.join().unwrap();
    });
    installed.the_one();
    let answer = ask(&mut flupd.connect(), "/");
    assert!(answer.starts_with("1 ") || answer.starts_with("2 "), "{answer}");
}

/// Clients ask all the time, and their number of workers is that of the load.
#[test]
fn no_request_fails_on_demand() {
    under_load(Front::NginxKeepConn, 2, &["--workers", "0..3", "--idle-timeout", "0.05"]);
}
