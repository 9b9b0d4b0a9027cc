//! Workers that end in the middle of a request: the client gets an answer, the
//! log the reason, and the next request a new worker.

use crate::harness::front::{Front, Site};
use crate::harness::http::Request;
use crate::harness::wait;

/// The next requests are answered, by a process other than the ones before.
fn expect_recovery(site: &Site) {
    wait::until("a new worker answers", || site.get("/hello").status == 200);
}

#[test]
fn segfault() {
    let site = Front::NginxFastcgi.serve("wrong.py");
    let before = site.get("/pid").text();
    let answer = site.get("/segfault");
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    site.flupd.wait_for_log("SIGSEGV");
    site.flupd.wait_for_log("/segfault");
    expect_recovery(&site);
    assert_ne!(site.get("/pid").text(), before);
}

#[test]
fn os_exit() {
    let site = Front::NginxFastcgi.serve("wrong.py");
    let answer = site.get("/os-exit");
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    site.flupd.wait_for_log("/os-exit");
    let log = site.flupd.log();
    assert!(log.lines().any(|line| line.contains("exit") && line.contains('7')), "{log}");
    expect_recovery(&site);
}

/// A POST may have had an effect, so it is never given to a second worker.
#[test]
fn post_is_not_repeated() {
    let site = Front::NginxFastcgi.serve("wrong.py");
    let answer = site.send(&Request::post("/os-exit", "once"));
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    expect_recovery(&site);
    let log = site.flupd.log();
    let ends = log.lines().filter(|line| line.contains("exit") && line.contains('7')).count();
    assert_eq!(ends, 1, "one worker has died of it:\n{log}");
}

#[test]
fn sys_exit() {
    let site = Front::NginxFastcgi.serve("wrong.py");
    let answer = site.get("/sys-exit");
    assert!(matches!(answer.status, 500 | 502 | 503), "{answer:?}");
    site.flupd.wait_for_log("sys.exit(3)");
    expect_recovery(&site);
}

#[test]
fn keyboard_interrupt() {
    let site = Front::NginxFastcgi.serve("wrong.py");
    let answer = site.get("/keyboard-interrupt");
    assert!(matches!(answer.status, 500 | 502 | 503), "{answer:?}");
    site.flupd.wait_for_log("KeyboardInterrupt");
    expect_recovery(&site);
}

/// A crash takes with it the requests of its own process only.
#[test]
fn a_crash_leaves_the_other_worker_alone() {
    use crate::harness::flupd::Serve;
    let serve = Serve::app(&crate::harness::app("wrong.py")).args(["--workers", "2"]);
    let site = &Front::NginxFastcgi.serve_with(serve);
    std::thread::scope(|scope| {
        let crasher = scope.spawn(|| site.send(&Request::post("/segfault", "")).status);
        for _ in 0..50 {
            let answer = site.get("/hello");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert!(matches!(crasher.join().unwrap(), 502 | 503));
    });
}
