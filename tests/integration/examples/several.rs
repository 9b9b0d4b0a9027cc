//! Several flupd behind one web server: one goes, and no GET fails.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::harness::example::Example;
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::front::{Server, WebServer};
use crate::harness::http::Request;
use crate::harness::{apache, app, ports, wait};

/// How the example reaches its two flupd.
pub enum Place {
    Socket(PathBuf),
    Port(u16),
}

impl Place {
    pub fn address(&self) -> String {
        match self {
            Self::Socket(path) => format!("unix:{}", path.display()),
            Self::Port(port) => format!("127.0.0.1:{port}"),
        }
    }

    pub fn start(&self, server: Server) -> Flupd {
        // An app that returns a list: its answer is one piece.
        let serve = Serve::app(&app("wrong.py"));
        let serve = if server == Server::Apache { apache::admitted(serve) } else { serve };
        serve.on("--fastcgi", &self.address())
    }
}

/// Ends the clients' loops, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the web server does with a GET that it has handed on and that got no answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    /// It asks another flupd.
    AskedAgain,
    /// It tells the client.
    Failed,
}

/// GETs come in all the time. One flupd is stopped as for a new version and started
/// again; then the other one is killed.
fn expect_failover(name: &str, unanswered: Unanswered) {
    let (server, example) = (Server::of(name), Example::open(name));
    let dir = crate::harness::temp_dir();
    apache::open_to_www_data(dir.path());
    let has_sockets = example.text().contains("/run/flupd/a.sock");
    let [a, b] = ["a", "b"].map(|name| {
        if has_sockets {
            Place::Socket(dir.path().join(format!("{name}.sock")))
        } else {
            Place::Port(ports::free())
        }
    });
    let example = match (&a, &b) {
        (Place::Socket(a), Place::Socket(b)) => example
            .replace("/run/flupd/a.sock", a.to_str().unwrap())
            .replace("/run/flupd/b.sock", b.to_str().unwrap()),
        _ => {
            example.replace("127.0.0.1:9000", &a.address()).replace("127.0.0.1:9001", &b.address())
        }
    };
    // It outlives the clients, in whichever way the test ends.
    let mut first = Some(a.start(server));
    let second = b.start(server);
    let web = &example.boot();

    let (stopped, answers) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let killed = &AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = Stop(stopped);
        for _ in 0..4 {
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // Some web servers leave a flupd alone for seconds.
                    thread::sleep(std::time::Duration::from_millis(4));
                    let answer = Request::get("/pid").send(web.address()).unwrap();
                    if answer.status == 200 {
                        answers.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let may_fail = unanswered == Unanswered::Failed;
                        let excused = may_fail && killed.load(Ordering::Relaxed);
                        assert!(excused, "{} {}", answer.status, answer.text());
                    }
                }
            });
        }
        let go_on = |what: &str| {
            let before = answers.load(Ordering::Relaxed);
            wait::until(what, || answers.load(Ordering::Relaxed) > before + 100);
        };
        wait_until_served_by(web, first.as_ref().unwrap());
        wait_until_served_by(web, &second);

        let mut stopping = first.take().unwrap();
        stopping.signal(Signal::TERM);
        assert_eq!(stopping.wait().code(), Some(0));
        go_on("the second one serves alone");
        first = Some(a.start(server));
        wait_until_served_by(web, first.as_ref().unwrap());

        killed.store(true, Ordering::Relaxed);
        second.signal(Signal::KILL);
        go_on("the first one serves alone");
        drop(stop);
    });
}

/// Waits until an answer comes from one of its workers.
fn wait_until_served_by(web: &WebServer, flupd: &Flupd) {
    wait::until("each flupd gets requests", || {
        let answer = Request::get("/pid").send(web.address()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        flupd.tree().contains(&answer.text().parse().unwrap())
    });
}

#[test]
fn nginx() {
    expect_failover("nginx-examples/upstream.conf", Unanswered::AskedAgain);
}

#[test]
fn lighttpd() {
    expect_failover("lighttpd-examples/several.conf", Unanswered::Failed);
}

#[test]
fn apache() {
    expect_failover("apache-examples/balancer.conf", Unanswered::Failed);
}

#[test]
fn haproxy() {
    expect_failover("haproxy-examples/several.cfg", Unanswered::AskedAgain);
}

#[test]
fn caddy() {
    expect_failover("caddy-examples/several.caddyfile", Unanswered::AskedAgain);
}

/// A POST that runs in a flupd which is killed is given to no other one: it may have been
/// done.
fn expect_no_second_post(name: &str) {
    let (server, example) = (Server::of(name), Example::open(name));
    let dir = crate::harness::temp_dir();
    let [a, b] = ["a", "b"].map(|name| match server {
        Server::Haproxy => Place::Port(ports::free()),
        _ => Place::Socket(dir.path().join(format!("{name}.sock"))),
    });
    let example = match (&a, &b) {
        (Place::Socket(a), Place::Socket(b)) => example
            .replace("/run/flupd/a.sock", a.to_str().unwrap())
            .replace("/run/flupd/b.sock", b.to_str().unwrap()),
        _ => {
            example.replace("127.0.0.1:9000", &a.address()).replace("127.0.0.1:9001", &b.address())
        }
    };
    let start = |place: &Place| Serve::app(&app("waiting.py")).on("--fastcgi", &place.address());
    let both = [start(&a), start(&b)];
    let web = example.boot();
    let (started, gate) = (dir.path().join("started"), dir.path().join("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let address = web.address();
    let client = thread::spawn(move || Request::post(&target, "once").send(address));
    wait::until_exists(&started);
    std::fs::remove_file(&started).unwrap();
    // The first one has it: all are idle. The other one must never begin it.
    both[0].signal(Signal::KILL);
    thread::sleep(std::time::Duration::from_millis(300));
    both[1].signal(Signal::TERM);
    std::fs::write(&gate, "").unwrap();
    let answer = client.join().unwrap();
    let failed = answer.as_ref().map_or(true, |answer| answer.status >= 500);
    assert!(failed, "the first one did not have it: {answer:?}");
    assert!(!started.exists(), "it was done twice: {answer:?}");
}

#[test]
fn nginx_repeats_no_post() {
    expect_no_second_post("nginx-examples/upstream.conf");
}

#[test]
fn haproxy_repeats_no_post() {
    expect_no_second_post("haproxy-examples/several.cfg");
}
