//! `--preload`: one import, and workers forked from there.

use std::fs;
use std::io::Write;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::python::{frameworks, interpreters};
use crate::harness::{app, source, wait};

fn preload(app: &str, workers: &str) -> Serve {
    Serve::app(app).args(["--preload", "--workers", workers, "--log-level", "debug"])
}

/// The body of the answer to a GET.
fn get(flupd: &Flupd, target: &str) -> String {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    assert!(answer.end.is_some(), "{target}: {}", flupd.log());
    answer.body()
}

/// A process as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    pid: i32,
    parent: i32,
    title: String,
    state: char,
}

fn shown(pid: i32) -> Option<Shown> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let title = line.trim_end_matches('\0').replace('\0', " ");
    Some(Shown { pid, parent, title, state })
}

/// Who of flupd's processes has a title that begins so.
fn titled(flupd: &Flupd, title: &str) -> Vec<Shown> {
    let all = flupd.tree().into_iter().filter_map(shown);
    all.filter(|process| process.title.starts_with(title)).collect()
}

fn zygote(flupd: &Flupd) -> Shown {
    let mut found = titled(flupd, "flupd: zygote");
    // For a moment a newborn worker still looks like its parent.
    found.retain(|process| process.parent == flupd.pid().as_raw_pid());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn workers(flupd: &Flupd) -> Vec<Shown> {
    titled(flupd, "flupd: worker")
}

/// Waits for so many workers, all children of the zygote.
fn expect_workers(flupd: &Flupd, count: usize) {
    wait::until(&format!("{count} workers of the zygote"), || {
        let workers = workers(flupd);
        let zygotes = titled(flupd, "flupd: zygote");
        workers.len() == count
            && zygotes.len() == 1
            && workers.iter().all(|worker| worker.parent == zygotes[0].pid)
    });
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn expect_gone(tree: &[i32]) {
    for &pid in tree {
        wait::until(&format!("process {pid} ends"), || {
            shown(pid).is_none_or(|process| process.state == 'Z')
        });
    }
}

/// An app that takes long to import.
const SLOW: &str = r#"
import os, time
time.sleep(1.5)
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"#;

fn slow(workers: &str) -> Serve {
    let serve = preload("slow", workers);
    fs::write(serve.dir().join("slow.py"), SLOW).unwrap();
    serve
}

#[test]
fn one_zygote_and_its_workers() {
    let flupd = preload(&app("waiting.py"), "3").on_fastcgi();
    flupd.wait_for_log("INFO ready");
    expect_workers(&flupd, 3);
    let zygote = zygote(&flupd);
    assert_eq!(zygote.parent, flupd.pid().as_raw_pid());
    assert_eq!(zygote.title, format!("flupd: zygote ({})", app("waiting.py")));
    let pid: i32 = get(&flupd, "/pid").parse().unwrap();
    assert!(workers(&flupd).iter().any(|worker| worker.pid == pid));
}

#[test]
fn every_interpreter() {
    for python in interpreters() {
        let serve = preload(&app("waiting.py"), "2").args(["--python"]).args([&python.path]);
        let mut flupd = serve.on_fastcgi();
        let pid: i32 = get(&flupd, "/pid").parse().unwrap();
        assert_eq!(shown(pid).unwrap().parent, zygote(&flupd).pid, "{python:?}");
        let tree = flupd.tree();
        flupd.signal(Signal::TERM);
        assert_eq!(flupd.wait().code(), Some(0), "{python:?}");
        expect_gone(&tree);
        let log = flupd.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{python:?}: {log}");
    }
}

/// Without a new import, which would take 1.5 seconds here.
#[test]
fn a_killed_worker_is_replaced_at_once() {
    let flupd = slow("1").on_fastcgi();
    for _ in 0..3 {
        let before = get(&flupd, "/");
        let start = Instant::now();
        kill(before.parse().unwrap());
        wait::until("another worker answers", || {
            // The first one may have met the dying worker.
            let mut stream = flupd.connect();
            stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
            let body = Answer::read(&mut stream, 1).map(|answer| answer.body());
            body.is_ok_and(|pid| pid.parse::<i32>().is_ok() && pid != before)
        });
        println!("from kill -9 to the answer of the next worker: {:?}", start.elapsed());
    }
    flupd.wait_for_log("killed by signal 9 (SIGKILL)");
}

#[test]
fn the_zygote_tells_how_a_worker_ended() {
    let flupd = preload(&app("wrong.py"), "2").on_fastcgi();
    flupd.wait_for_log("INFO ready");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "POST", "/os-exit", b"")).unwrap();
    flupd.wait_for_log("exit status 7");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "POST", "/segfault", b"")).unwrap();
    flupd.wait_for_log("SIGSEGV");
    expect_workers(&flupd, 2);
}

#[test]
fn a_killed_zygote_takes_no_worker_with_it() {
    let mut flupd = preload(&app("waiting.py"), "2").on_fastcgi();
    flupd.wait_for_log("INFO ready");
    expect_workers(&flupd, 2);
    let (first, old) = (zygote(&flupd).pid, workers(&flupd));
    kill(first);
    flupd.wait_for_log("zygote ended unexpectedly");
    flupd.wait_for_log("replacement zygote is ready");
    let second = zygote(&flupd).pid;
    assert_ne!(first, second);
    // The workers are the same, and ours to bury.
    for worker in &old {
        let now = shown(worker.pid).unwrap();
        assert_eq!((now.parent, now.state == 'Z'), (flupd.pid().as_raw_pid(), false), "{now:?}");
    }
    let pid: i32 = get(&flupd, "/pid").parse().unwrap();
    assert!(old.iter().any(|worker| worker.pid == pid));

    for worker in &old {
        kill(worker.pid);
    }
    expect_workers(&flupd, 2);
    for worker in &old {
        assert!(shown(worker.pid).is_none(), "no zombie is left");
    }
    assert!(!get(&flupd, "/pid").is_empty());
    wait::until("both deaths are logged", || flupd.log().matches("worker died").count() == 2);
    let log = flupd.log();
    assert_eq!(log.matches("cause=\"killed by signal 9 (SIGKILL)\" requests").count(), 2, "{log}");
    let tree = flupd.tree();
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0));
    expect_gone(&tree);
}

#[test]
fn import_error() {
    for workers in ["1", "4"] {
        let serve = preload("broken", workers);
        fs::write(serve.dir().join("broken.py"), "import no_such_module_anywhere\n").unwrap();
        let (code, output) = serve.refused();
        assert_eq!(code, Some(1), "{output}");
        assert_eq!(output.matches("Traceback").count(), 1, "{output}");
        assert!(output.contains("No module named 'no_such_module_anywhere'"), "{output}");
    }
}

#[test]
fn a_later_import_error_is_tried_again() {
    let serve = preload("module", "1");
    let file = serve.dir().join("module.py");
    let text = SLOW.replace("time.sleep(1.5)", "");
    fs::write(&file, &text).unwrap();
    let flupd = serve.on_fastcgi();
    let worker = get(&flupd, "/");
    fs::write(&file, "import no_such_module_anywhere\n").unwrap();
    kill(zygote(&flupd).pid);
    wait::until("it is tried three times", || {
        flupd.log().matches("the app can't be imported").count() >= 3
    });
    assert_eq!(get(&flupd, "/"), worker);
    fs::write(&file, text).unwrap();
    flupd.wait_for_log("replacement zygote is ready");
    kill(worker.parse().unwrap());
    expect_workers(&flupd, 1);
    assert_ne!(get(&flupd, "/"), worker);
}

/// Zygote and worker are dead, and the code has become broken: requests are
/// refused, the one that waited already as well as those that come.
#[test]
fn a_later_import_error_without_workers_refuses_requests() {
    let serve = preload("module", "1");
    let file = serve.dir().join("module.py");
    let text = SLOW.replace("time.sleep(1.5)", "");
    fs::write(&file, &text).unwrap();
    let flupd = serve.on_fastcgi();
    let worker: i32 = get(&flupd, "/").parse().unwrap();
    // Time for a request to come while the import has not failed yet.
    fs::write(&file, "import time; time.sleep(1)\nimport no_such_module_anywhere\n").unwrap();
    kill(zygote(&flupd).pid);
    flupd.wait_for_log("zygote ended unexpectedly");
    kill(worker);
    flupd.wait_for_log("worker died");
    let waited = get(&flupd, "/");
    assert!(waited.starts_with("503"), "{waited} {}", flupd.log());
    flupd.wait_for_log("the app can't be imported");
    // It does not wait for the next failure.
    let gate = flupd.file("gate");
    let waits = format!("import os, time\nwhile not os.path.exists({gate:?}): time.sleep(0.01)\n");
    fs::write(&file, waits + "import no_such_module_anywhere\n").unwrap();
    assert!(get(&flupd, "/").starts_with("503"), "{}", flupd.log());
    fs::write(&file, text).unwrap();
    fs::write(gate, "").unwrap();
    expect_workers(&flupd, 1);
    wait::until("a worker answers", || get(&flupd, "/").parse::<i32>().is_ok());
}

#[test]
fn a_running_request_is_finished() {
    let mut flupd = preload(&app("waiting.py"), "2").on_fastcgi();
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until_exists(&started);
    expect_workers(&flupd, 2);
    let tree = flupd.tree();
    assert_eq!(tree.len(), 5, "supervisor, gateway, zygote and two workers");
    flupd.signal(Signal::TERM);
    wait::until("the listening socket is closed", || {
        std::os::unix::net::UnixStream::connect(flupd.socket()).is_err()
    });
    fs::write(gate, "").unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "held\n");
    assert_eq!(flupd.wait().code(), Some(0));
    expect_gone(&tree);
}

/// Also the worker inside which a request runs that never ends.
#[test]
fn a_killed_supervisor_leaves_nobody_behind() {
    for zygote_first in [false, true] {
        let mut flupd = preload(&app("waiting.py"), "2").on_fastcgi();
        flupd.wait_for_log("INFO ready");
        let (started, gate) = (flupd.file("started"), flupd.file("gate"));
        let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
        wait::until_exists(&started);
        expect_workers(&flupd, 2);
        if zygote_first {
            kill(zygote(&flupd).pid);
            flupd.wait_for_log("replacement zygote is ready");
        }
        let tree = flupd.tree();
        assert_eq!(tree.len(), 5, "supervisor, gateway, zygote and two workers");
        flupd.signal(Signal::KILL);
        flupd.wait();
        expect_gone(&tree);
    }
}

#[test]
fn a_signal_during_the_import() {
    let mut flupd = slow("2").on_fastcgi();
    wait::until("the zygote runs", || flupd.tree().len() >= 3);
    let tree = flupd.tree();
    flupd.signal(Signal::TERM);
    assert_eq!(flupd.wait().code(), Some(0), "{}", flupd.log());
    expect_gone(&tree);
}

/// What an app has left behind becomes the supervisor's, and is buried.
#[test]
fn orphans_of_the_app_are_buried() {
    let serve = preload("daemons", "1");
    let text = r#"
import subprocess
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    made = subprocess.run(["sh", "-c", "sleep 0.2 >/dev/null & echo $!"], stdout=subprocess.PIPE)
    return [made.stdout.strip()]
"#;
    fs::write(serve.dir().join("daemons.py"), text).unwrap();
    let flupd = serve.on_fastcgi();
    let pids: Vec<i32> = (0..3).map(|_| get(&flupd, "/").parse().unwrap()).collect();
    for pid in pids {
        wait::until("the orphan is buried", || shown(pid).is_none());
    }
}

#[test]
fn threads_of_the_import_are_a_warning() {
    let serve = preload("threads", "2");
    let text = format!(
        "import threading, time\n\
         threading.Thread(target=time.sleep, args=(60,), name='refresher', daemon=True).start()\n\
         {}",
        SLOW.replace("time.sleep(1.5)", "")
    );
    fs::write(serve.dir().join("threads.py"), text).unwrap();
    let flupd = serve.on_fastcgi();
    assert!(get(&flupd, "/").parse::<i32>().is_ok());
    flupd.wait_for_log("starts threads when it is imported");
    let log = flupd.log();
    assert!(log.contains("refresher"), "{log}");
    assert!(!log.contains("DeprecationWarning"), "{log}");
}

/// The proportional set size of all processes, in MiB.
fn pss(flupd: &Flupd) -> f64 {
    let of = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
    };
    flupd.tree().into_iter().map(of).sum::<f64>() / 1024.0
}

/// Four workers with Flask and Django, after some requests to each of them.
#[test]
fn memory_is_shared() {
    let measure = |preload: bool| {
        let serve = Serve::app("both")
            .args(["--workers", "4", "--threads", "1", "--log-level", "debug"])
            .args(["--chdir".as_ref(), source("benches/apps").as_os_str()])
            .args(["--python".as_ref(), frameworks().as_os_str()]);
        let serve = if preload { serve.args(["--preload"]) } else { serve };
        let flupd = serve.on_fastcgi();
        wait::until("all workers are ready", || {
            flupd.log().matches("worker is ready").count() == 4
        });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        for target in ["/json", "/json?flask"] {
                            assert!(get(&flupd, target).contains("hello"));
                        }
                    }
                });
            }
        });
        pss(&flupd)
    };
    let (without, with) = (measure(false), measure(true));
    println!(
        "PSS of flupd with 4 workers, Flask and Django: {without:.1} MiB without --preload, {with:.1} MiB with it"
    );
    assert!(with < 0.7 * without, "{with:.1} MiB, {without:.1} without");
}
