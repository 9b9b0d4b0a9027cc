//! A flupd with a status listener.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::browser::Page;
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::http::{Request, Response};
use crate::harness::{app, fcgi, ports, wait};

/// The window of a desktop, and of a small phone.
pub const DESK: (u32, u32) = (1280, 900);
pub const PHONE: (u32, u32) = (360, 740);

/// A free address for `--status`.
pub fn address() -> SocketAddr {
    ([127, 0, 0, 1], ports::free()).into()
}

/// flupd, and where its status is told.
pub struct Site {
    pub flupd: Flupd,
    pub status: SocketAddr,
}

impl Site {
    /// The app whose requests do not come back, with these options.
    pub fn stuck(options: &[&str]) -> Self {
        Self::serve(Serve::app(&app("stuck.py")).args(options))
    }

    /// This app on FastCGI.
    pub fn serve(serve: Serve) -> Self {
        let status = address();
        let flupd = serve.args(["--status", &status.to_string()]).on_fastcgi();
        Self::watch(flupd, status)
    }

    /// A flupd that tells its status here, once it is ready.
    pub fn watch(flupd: Flupd, status: SocketAddr) -> Self {
        let site = Self { flupd, status };
        let ready = || Request::get("/readyz").send(status).is_ok_and(|told| told.status == 200);
        wait::until("flupd is ready", ready);
        site
    }

    /// Opens the dashboard.
    pub fn look(&self, size: (u32, u32)) -> Page {
        let page = Page::open(&format!("http://{}/", self.status), size);
        page.wait_for("#link", "live");
        page
    }

    /// What the status listener answers.
    pub fn get(&self, path: &str) -> Response {
        Request::get(path).send(self.status).unwrap()
    }

    /// The report. A machine that others use, too, may leave the gateway's thread
    /// no time: then once more.
    pub fn report(&self, query: &str) -> Value {
        wait::until_some("the gateway's thread answers", || {
            let report = self.get(&format!("/status.json{query}")).json();
            report["answered_us"].is_u64().then_some(report)
        })
    }

    /// A request for which nobody waits to the end.
    pub fn ask(&self, target: &str) -> UnixStream {
        let mut stream = self.flupd.connect();
        stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
        stream
    }

    /// `GET target` and its body.
    pub fn answer(&self, target: &str) -> String {
        fcgi::Answer::read(&mut self.ask(target), 1).unwrap().body()
    }
}

/// The line of the app where this case of stuck.py stays.
pub fn line(case: &str) -> usize {
    let source = fs::read_to_string(app("stuck.py")).unwrap();
    source.lines().position(|line| line.ends_with(&format!("# HERE {case}"))).unwrap() + 1
}
