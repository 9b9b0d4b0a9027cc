//! Apps without workers while nobody asks.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;
use std::thread;

use super::{Held, pid, served, status, under_load, until_workers, workers};
use crate::harness::flupd::{self, Serve};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::{app, ports, wait};

/// Supervisor and gateway.
const NOBODY: usize = 2;

#[test]
fn from_zero_and_back() {
    let port = ports::free();
    let address = format!("127.0.0.1:{port}");
    let site = served("0..2", &["--idle-timeout", "1", "--status", &address]);
    let told = |path: &str| Request::get(path).send(([127, 0, 0, 1], port).into()).unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        seen.insert(pid(&site));
        assert_eq!(told("/readyz").status, 200);
        wait::until("nobody is left", || site.flupd.tree().len() == NOBODY);
        // It is as it should be.
        assert_eq!(told("/readyz").status, 200);
        let metrics = told("/metrics").text();
        for line in [
            "workers{app=\"app\",generation=\"1\",state=\"ready\"} 0",
            "workers_min{app=\"app\"} 0",
        ] {
            assert!(metrics.contains(&format!("\nflupd_{line}\n")), "{metrics}");
        }
        let app = status(&site.flupd, None);
        assert_eq!((&app["asleep"], &app["workers_max"]), (&true.into(), &2.into()), "{app}");
        let mut command = flupd::command();
        command.args(["status", "--control"]).arg(site.flupd.file("app.sock.control"));
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(text.contains("0 of 0 to 2 workers; the next request starts one"), "{text}");
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    let log = site.flupd.log();
    assert!(log.contains("no worker is needed; the next request starts one"), "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

/// Many requests find nobody at the same moment.
#[test]
fn many_at_once() {
    let site = &served("0..3", &["--idle-timeout", "1"]);
    for _ in 0..2 {
        wait::until("nobody is left", || site.flupd.tree().len() == NOBODY);
        let answered = thread::scope(|scope| {
            let clients: Vec<_> = (0..32).map(|_| scope.spawn(|| pid(site))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect::<BTreeSet<_>>()
        });
        assert!((1..=3).contains(&answered.len()), "{answered:?}");
    }
}

/// A request now and then keeps the worker, whose import would take longer.
#[test]
fn who_is_asked_now_and_then_stays() {
    let site = served("on-demand", &["--idle-timeout", "2"]);
    let first = pid(&site);
    for _ in 0..10 {
        thread::sleep(std::time::Duration::from_millis(400));
        assert_eq!(pid(&site), first);
    }
}

/// A request that goes on keeps its worker, however long; those that wait behind
/// it get another.
#[test]
fn a_long_request_keeps_its_worker() {
    let site = &served("0..2", &["--idle-timeout", "0.5"]);
    thread::scope(|scope| {
        let held = Held::begin(scope, site, "gate", 1);
        wait::until("it runs", || status(&site.flupd, None)["workers"][0]["busy"] == 1);
        let first = workers(&site.flupd, None);
        thread::sleep(std::time::Duration::from_millis(1500));
        assert_eq!(workers(&site.flupd, None), first);
        assert!(!first.contains(&pid(site)));
        held.end();
    });
    wait::until("nobody is left", || site.flupd.tree().len() == NOBODY);
}

/// It comes and goes while clients ask all the time.
#[test]
fn no_request_is_lost_at_the_border() {
    let site = &served("0..2", &["--idle-timeout", "0.05"]);
    let mut seen = BTreeSet::new();
    for pause in (0..16).map(|at| 380 + at * 20) {
        seen.insert(pid(site));
        thread::sleep(std::time::Duration::from_millis(pause));
    }
    assert!(seen.len() > 3, "{seen:?}");
    under_load(site, 4, || until_workers(&site.flupd, 2));
}

/// The first start shows that the app can be imported, as with workers that stay.
#[test]
fn an_app_that_cannot_be_imported_is_told_at_the_start() {
    let serve = Serve::app("no_such_module:app").args(["--workers", "on-demand"]);
    let address = format!("unix:{}/app.sock", serve.dir().display());
    let (status, log) = serve.args(["--fastcgi", &address]).refused();
    assert_eq!(status, Some(1));
    assert!(log.contains("No module named 'no_such_module'"), "{log}");
}

/// A start that fails is answered, and told in the log; when the app is mended, it
/// answers again without a word to flupd.
#[test]
fn a_start_that_fails() {
    let serve =
        Serve::app("versioned:application").args(["--workers", "on-demand", "--idle-timeout", "1"]);
    let path = serve.dir().join("versioned.py");
    fs::copy(app("versioned.py"), &path).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let site = Front::NginxKeepConn.serve_with(serve);
    assert_eq!(site.get("/").status, 200);
    wait::until("nobody is left", || site.flupd.tree().len() == NOBODY);
    fs::write(&path, "import no_such_module\n").unwrap();
    assert_eq!(site.get("/").status, 503);
    let log = site.flupd.log();
    assert!(log.contains("ModuleNotFoundError: No module named 'no_such_module'"), "{log}");
    // After a while it is not tried any more, until somebody asks.
    let asleep = || status(&site.flupd, None)["asleep"] == true;
    wait::until("it sleeps", asleep);
    assert_eq!(site.get("/").status, 503);
    fs::write(&path, good).unwrap();
    wait::until("the mended app answers", || site.get("/").status == 200);
}

/// Who waits for the start waits as long as any request may.
#[test]
fn the_queue_is_bounded() {
    let serve = Serve::app("slow.py").args(["--workers", "on-demand", "--idle-timeout", "0.5"]);
    let (path, gate) = (serve.dir().join("slow.py"), serve.dir().join("gate"));
    let source = fs::read_to_string(app("answers.py")).unwrap();
    let wait = format!("import os, time\nwhile not os.path.exists({gate:?}): time.sleep(0.01)\n");
    fs::write(&path, &source).unwrap();
    let site =
        &Front::NginxKeepConn.serve_with(serve.args(["--queue", "2", "--queue-timeout", "3"]));
    assert_eq!(site.get("/hello").status, 200);
    fs::write(&path, wait + &source).unwrap();
    wait::until("nobody is left", || site.flupd.tree().len() == NOBODY);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..5).map(|_| scope.spawn(|| site.get("/hello"))).collect();
        for answer in waiting {
            assert_eq!(answer.join().unwrap().status, 503);
        }
    });
    let log = site.flupd.log();
    assert!(log.contains("(--queue-timeout)") || log.contains("(--queue)"), "{log}");
    fs::write(gate, "").unwrap();
    wait::until("it is there", || site.get("/hello").status == 200);
}

/// A zygote stays and forks them.
#[test]
fn with_preload() {
    let site = served("on-demand", &["--idle-timeout", "0.5", "--preload"]);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        seen.insert(pid(&site));
        wait::until("the zygote is left", || site.flupd.tree().len() == NOBODY + 1);
    }
    assert_eq!(seen.len(), 3);
}

/// The app goes away and comes back with the configuration.
#[test]
fn a_reload_proves_the_import_and_may_change_the_mode() {
    let waiting = app("waiting.py");
    let config = |workers: &str| {
        format!(
            "[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.shop]\napp = {waiting:?}\n\
             workers = {workers}\n"
        )
    };
    let flupd = Serve::config(&config("\"on-demand\"\nidle-timeout = 0.5")).on_its_socket();
    let reload = |config: &str| {
        flupd.write_config(config);
        let mut command = flupd::command();
        command.args(["reload", "--config"]).arg(flupd.file("flupd.toml"));
        command.output().unwrap()
    };
    flupd.wait_for_log(" ready");
    let taken = |output: Output| assert!(output.status.success(), "{output:?}");
    let size = || workers(&flupd, Some("shop")).len();
    wait::until("nobody is left", || flupd.tree().len() == NOBODY);
    taken(reload(&config("3")));
    wait::until("there are three", || size() == 3);
    taken(reload(&config("{ min = 1, max = 4 }\nidle-timeout = 0.5")));
    wait::until("there are less again", || size() == 1);
    taken(reload(&config("\"on-demand\"\nidle-timeout = 0.5")));
    wait::until("nobody is left again", || flupd.tree().len() == NOBODY);
    // A worker is started to see whether it can be.
    let broken = config("\"on-demand\"").replace("waiting.py", "no_such_app.py");
    let output = reload(&broken);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_app"), "{output:?}");
}
