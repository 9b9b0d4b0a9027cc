//! Workers that come and go with the load: what the requests see of it, which is
//! nothing, and what an administrator sees.

mod dynamic;
mod on_demand;
mod orders;
mod restart;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use serde_json::Value;

use crate::harness::flupd::{self, Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::http::Response;
use crate::harness::stop::Stop;
use crate::harness::{app, wait};

/// An app that answers when it is allowed to, with these workers of one thread
/// behind nginx, whose connections are kept.
fn served(workers: &str, options: &[&str]) -> Site {
    let serve = Serve::app(&app("waiting.py")).args(["--workers", workers, "--threads", "1"]);
    let site = Front::NginxKeepConn.serve_with(serve.args(options));
    site.flupd.wait_for_log(" ready");
    site
}

/// What `flupd status` tells of the one generation that serves this app.
fn status(flupd: &Flupd, app: Option<&str>) -> Value {
    let mut command = flupd::command();
    command.args(["status", "--json", "--control"]).arg(flupd.file("app.sock.control"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let apps = told["apps"].as_array().unwrap().iter();
    let mut apps: Vec<_> = apps.filter(|one| one["app"].as_str() == app).collect();
    apps.sort_by_key(|one| one["generation"].as_u64());
    apps.pop().unwrap().clone()
}

/// The processes that are ready workers, as `flupd status` tells.
fn workers(flupd: &Flupd, app: Option<&str>) -> BTreeSet<u64> {
    let told = status(flupd, app);
    let ready = told["workers"].as_array().unwrap().iter().filter(|one| one["state"] == "ready");
    ready.map(|one| one["pid"].as_u64().unwrap()).collect()
}

/// Waits until there are so many.
fn until_workers(flupd: &Flupd, number: usize) {
    wait::until(&format!("there are {number} workers"), || workers(flupd, None).len() == number);
}

fn pid(site: &Site) -> u64 {
    let answer = site.get("/pid");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().parse().unwrap()
}

/// Requests that last until their gate is opened.
struct Held<'s> {
    gate: PathBuf,
    answers: Vec<ScopedJoinHandle<'s, Response>>,
}

impl<'s> Held<'s> {
    fn begin<'e>(scope: &'s Scope<'s, 'e>, site: &'e Site, name: &str, number: usize) -> Self {
        let gate = site.flupd.file(name);
        let target = format!("/hold?gate={}", gate.display());
        let ask = || {
            let target = target.clone();
            scope.spawn(move || site.get(&target))
        };
        let answers = (0..number).map(|_| ask()).collect();
        Self { gate, answers }
    }

    /// All are answered.
    fn end(self) {
        fs::write(self.gate, "").unwrap();
        for answer in self.answers {
            assert_eq!(answer.join().unwrap().text(), "held\n");
        }
    }
}

/// Does something while clients ask all the time, and no request fails. Returns
/// the processes that have answered.
fn under_load(site: &Site, clients: usize, work: impl FnOnce()) -> BTreeSet<u64> {
    let stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                seen.insert(pid(site));
            }
            seen
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        {
            let _stop = Stop::new(stopped);
            work();
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}
