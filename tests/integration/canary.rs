//! Canaries: new code gets a share of real requests first, through nginx with kept
//! connections, and is taken back if it does worse.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::example::Example;
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

/// How often each version answered well, and under `other` everything else.
type Answers = BTreeMap<String, usize>;

fn serving(options: &[&str]) -> Site {
    let serve = Serve::app("canary:application").args(options);
    fs::copy(app("canary.py"), serve.dir().join("canary.py")).unwrap();
    let site = Front::NginxKeepConn.serve_with(serve);
    site.flupd.wait_for_log("ready");
    site.flupd.wait_for_workers(if options.contains(&"--workers") { 2 } else { 1 });
    site
}

fn deploy(flupd: &Flupd, mode: &str) {
    let text = fs::read_to_string(app("canary.py")).unwrap();
    let text = text.replace("MODE = \"good\"", &format!("MODE = {mode:?}"));
    let text = text.replace("VERSION = \"1\"", "VERSION = \"2\"");
    fs::write(flupd.file("new"), text).unwrap();
    fs::rename(flupd.file("new"), flupd.file("canary.py")).unwrap();
}

/// Does something while clients ask all the time, and counts their answers.
fn under_load<T>(site: &Site, work: impl FnOnce() -> T) -> (T, Answers) {
    let (stopped, answers) = (&AtomicBool::new(false), &Mutex::new(Answers::new()));
    let done = thread::scope(|scope| {
        let stop = Stop::new(stopped);
        for _ in 0..4 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let answer = site.get("/");
                    let well = answer.status == 200;
                    let key = if well { answer.text() } else { "other".to_owned() };
                    *answers.lock().unwrap().entry(key).or_default() += 1;
                }
            });
        }
        let done = work();
        drop(stop);
        done
    });
    (done, answers.lock().unwrap().clone())
}

fn reload(site: &Site, mode: &str, options: &[&str]) -> (Output, Answers) {
    deploy(&site.flupd, mode);
    under_load(site, || site.flupd.order(&[&["reload"], options].concat()))
}

fn told(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn of(answers: &Answers, key: &str) -> usize {
    answers.get(key).copied().unwrap_or_default()
}

#[test]
fn good_code_gets_its_share_and_then_takes_over() {
    let site = serving(&["--workers", "2"]);
    let (output, answers) = reload(&site, "good", &["--canary", "40%", "--canary-time", "3"]);
    let said = told(&output.stdout);
    assert!(output.status.success(), "{said}{}", told(&output.stderr));
    assert!(said.starts_with("the new generation is no worse, and takes over\n  new: "), "{said}");
    assert!(said.contains(" requests, 0 failed (0.0 %), median "), "{said}");
    assert_eq!(of(&answers, "other"), 0, "{answers:?}");
    // Some of the old ones were answered before it began, few of the new ones after it.
    let share = of(&answers, "2") as f64 / (of(&answers, "1") + of(&answers, "2")) as f64;
    assert!((0.05..0.5).contains(&share), "{answers:?}");
    assert_eq!(site.get("/").text(), "2");
    site.flupd.wait_for_log("the new generation does no worse");
}

/// As the configuration says, without a word on the command line.
#[test]
fn code_that_fails_is_taken_back() {
    let site = serving(&["--workers", "2", "--canary", "20%", "--canary-time", "60"]);
    let (output, answers) = reload(&site, "fails", &[]);
    let why = told(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("was taken back: more of its requests fail\n  new: "), "{why}");
    assert!(of(&answers, "other") > 0 && of(&answers, "2") == 0, "{answers:?}");
    assert!((0..50).all(|_| site.get("/").text() == "1"));
    let log = site.flupd.log();
    assert!(log.contains("the new generation does worse and is taken back"), "{log}");
}

#[test]
fn code_that_is_slower_is_taken_back() {
    let site = serving(&["--workers", "2"]);
    let (output, answers) = reload(&site, "slow", &["--canary", "25%", "--canary-time", "60"]);
    let why = told(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("was taken back: it is slower\n"), "{why}");
    // Those that it has had were answered.
    assert_eq!(of(&answers, "other"), 0, "{answers:?}");
    assert_eq!(site.get("/").text(), "1");
}

#[test]
fn code_that_dies_is_taken_back() {
    let site = serving(&[]);
    let (output, answers) = reload(&site, "dies", &["--canary", "50%", "--canary-time", "60"]);
    let why = told(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("its workers die") && why.contains("1 worker died"), "{why}");
    // They were GETs of which no byte was sent, so another worker has answered them.
    assert!(of(&answers, "1") > 0, "{answers:?}");
    assert_eq!(site.get("/").text(), "1");
}

/// Nothing of it ends, so there is nothing but how long it has taken so far.
#[test]
fn code_that_never_answers_is_taken_back() {
    let site = serving(&["--graceful-timeout", "1", "--threads", "8"]);
    let options = ["--canary", "5%", "--canary-time", "4"];
    deploy(&site.flupd, "stuck");
    let (output, _) = thread::scope(|scope| {
        // One client after the other, each for itself: most of them are well.
        let _busy: Vec<_> = (0..60).map(|_| scope.spawn(|| site.get("/"))).collect();
        under_load(&site, || site.flupd.order(&[&["reload"], &options[..]].concat()))
    });
    let why = told(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert_eq!(site.get("/").text(), "1");
}

#[test]
fn a_stop_in_the_middle_finishes_both() {
    let mut site = serving(&["--workers", "2"]);
    deploy(&site.flupd, "good");
    let control = site.flupd.file("app.sock.control");
    let order = crate::harness::flupd::command()
        .args(["reload", "--canary", "50%", "--canary-time", "60", "--control"])
        .arg(control)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait::until("the new code answers", || site.get("/").text() == "2");
    site.flupd.signal(Signal::TERM);
    assert_eq!(site.flupd.wait().code(), Some(0));
    let output = order.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output.stderr).contains("flupd is stopping"), "{output:?}");
}

#[test]
fn the_end_of_the_gateway_in_the_middle_takes_it_back() {
    let site = &serving(&["--workers", "2"]);
    deploy(&site.flupd, "good");
    let gateway = *site.flupd.tree().iter().find(|pid| is_gateway(**pid)).unwrap();
    let output = thread::scope(|scope| {
        let order = ["reload", "--canary", "50%", "--canary-time", "60"];
        let order = scope.spawn(move || site.flupd.order(&order));
        wait::until("the new code answers", || site.get("/").text() == "2");
        kill_process(Pid::from_raw(gateway).unwrap(), Signal::KILL).unwrap();
        order.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output.stderr).contains("the gateway ended unexpectedly"), "{output:?}");
    // The new workers import what is there, as any that is replaced.
    wait::until("it answers again", || site.get("/").status == 200);
    assert!((0..20).all(|_| site.get("/").status == 200));
}

fn is_gateway(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("gateway"))
}

/// An app on demand, each release in a directory of its own: a worker of the old
/// generation that comes meanwhile imports the old code.
fn releases() -> Site {
    let serve = Serve::config(&release("1"));
    let text = fs::read_to_string(app("canary.py")).unwrap();
    for (name, version, mode) in [("1", "1", "good"), ("2", "2", "good"), ("broken", "2", "fails")]
    {
        let text = text.replace("VERSION = \"1\"", &format!("VERSION = {version:?}"));
        let text = text.replace("MODE = \"good\"", &format!("MODE = {mode:?}"));
        fs::create_dir(serve.dir().join(name)).unwrap();
        fs::write(serve.dir().join(name).join("canary.py"), text).unwrap();
    }
    let flupd = serve.on_its_socket();
    flupd.wait_for_log("ready");
    let web = Example::open("nginx-examples/fastcgi-keepconn.conf").socket(&flupd.socket()).boot();
    Site { web, flupd }
}

fn release(name: &str) -> String {
    format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.shop]\napp = \"canary:application\"\n\
         chdir = \"DIR/{name}\"\nworkers = \"on-demand\"\nidle-timeout = 0.2\nthreads = 2\n"
    )
}

fn reload_to(site: &Site, name: &str, options: &[&str]) -> Output {
    site.flupd.write_config(&release(name));
    let mut command = crate::harness::flupd::command();
    command.args(["reload", "--config"]).arg(site.flupd.file("flupd.toml"));
    command.args(options).output().unwrap()
}

fn wait_until_asleep(site: &Site) {
    // Supervisor and gateway are left.
    wait::until("it sleeps", || site.flupd.tree().len() == 2);
}

/// With nobody to ask, both sleep: the new code is no worse.
#[test]
fn an_app_that_sleeps_takes_over_asleep() {
    let site = releases();
    wait_until_asleep(&site);
    let output = reload_to(&site, "2", &["--canary", "50%", "--canary-time", "1"]);
    assert!(output.status.success(), "{output:?}");
    wait_until_asleep(&site);
    assert_eq!(site.get("/").text(), "2");
}

/// Requests wake both, each with its code, and each has its share.
#[test]
fn an_app_that_sleeps_is_compared_all_the_same() {
    let site = releases();
    for (name, taken) in [("broken", false), ("2", true)] {
        wait_until_asleep(&site);
        let (output, answers) = under_load(&site, || {
            reload_to(&site, name, &["--canary", "40%", "--canary-time", "2"])
        });
        assert_eq!(output.status.success(), taken, "{output:?}");
        assert!(!told(&output.stderr).contains("died"), "{output:?}");
        assert!(of(&answers, "1") > 0, "{answers:?}");
        assert_eq!(of(&answers, "2") > 0, taken, "{answers:?}");
        assert_eq!(of(&answers, "other") > 0, !taken, "{answers:?}");
        assert_eq!(site.get("/").text(), if taken { "2" } else { "1" });
    }
}
