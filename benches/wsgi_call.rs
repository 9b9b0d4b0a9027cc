//! What a request costs a worker: this program plays gateway to a real worker
//! process, so that neither sockets nor a web server are in the figure. It keeps
//! requests staged, and reads the CPU time of the worker's app thread.
//!
//! `PYTHON` names the interpreter, `python3` otherwise. Needs
//! `cargo build --release -p flupd-worker`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod micro;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgi::{Params, environ};
use command_fds::{CommandFdExt, FdMapping};
use flupd_channel::gateway::{self, Body, Memory, Port, Reply};
use flupd_channel::startup::{
    STATUS_FD, Task, WorkerConfig, WorkerStatus, decode_status, send_task,
};
use flupd_channel::{Outcome, packet};
use tokio::runtime::{Builder, Runtime};

const BOOTSTRAP: &str = include_str!("../worker/src/bootstrap.py");
const STAGED: usize = 4;
const WARMING: usize = 20_000;
const REQUESTS: usize = 50_000;
const ROUNDS: usize = 9;

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let mut worker = Worker::start();
    println!(
        "{:<28}{:>10}{:>16}  (µs of the worker's CPU a request)",
        "", "median", "fastest–slowest"
    );
    for (what, path, body) in [
        ("hello", "/hello", 0),
        ("hello, with a 1 KiB body", "/upload", 1024),
        ("table of the environ", "/table", 0),
    ] {
        let (params, body) = (params(path, body), Body::Memory(vec![b'x'; body]));
        worker.run(&params, &body, WARMING);
        let mut costs: Vec<f64> =
            (0..rounds).map(|_| worker.run(&params, &body, REQUESTS) / REQUESTS as f64).collect();
        costs.sort_by(f64::total_cmp);
        let (fastest, median, slowest) = (costs[0], costs[costs.len() / 2], costs[costs.len() - 1]);
        println!("{what:<28}{median:>10.3}{:>16}", format!("{fastest:.3}–{slowest:.3}"));
    }
}

/// What the gateway would pass on for nginx's request for `path`.
fn params(path: &str, body: usize) -> Params {
    let length = body.to_string();
    let sent: Params = micro::nginx_params()
        .iter()
        .map(|(name, value)| match name {
            b"SCRIPT_NAME" | b"REQUEST_URI" | b"DOCUMENT_URI" => (name, path.as_bytes()),
            b"CONTENT_LENGTH" if body > 0 => (name, length.as_bytes()),
            b"REQUEST_METHOD" if body > 0 => (name, &b"POST"[..]),
            _ => (name, value),
        })
        .collect();
    environ::normalise(sent, None).unwrap()
}

/// A worker with one app thread, and its gateway.
struct Worker {
    child: Child,
    port: Port,
    _memory: Memory,
    _runtime: Runtime,
}

impl Worker {
    fn start() -> Self {
        let (ours, theirs) = packet::pair().unwrap();
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.args(["-c", BOOTSTRAP]).arg(library()).stdin(Stdio::null());
        command.fd_mappings(vec![FdMapping { parent_fd: theirs, child_fd: STATUS_FD }]).unwrap();
        let child = command.spawn().unwrap();
        drop(command);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let ends = flupd_channel::create(1, &flupd_channel::bell().unwrap()).unwrap();
        let (memory, mut ports) = {
            let _entered = runtime.enter();
            gateway::open(ends.gateway).unwrap()
        };
        let config = WorkerConfig {
            worker: 1,
            app: "plain:application".into(),
            script: None,
            chdir: None,
            path: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/apps")],
            multiprocess: false,
        };
        let fds: Vec<_> = ends.worker.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &Task::Serve(config), &fds).unwrap();
        let (message, _) = packet::receive(&ours).unwrap().expect("the worker says how it started");
        match decode_status(&message).unwrap() {
            WorkerStatus::Ready { python, .. } => {
                println!("Python {python}, {}", library().display())
            }
            other => panic!("{other:?}"),
        }
        Self { child, port: ports.remove(0), _memory: memory, _runtime: runtime }
    }

    /// Has so many requests answered, some always staged; returns the µs of the
    /// worker's app thread.
    fn run(&mut self, params: &Params, body: &Body, requests: usize) -> f64 {
        let before = self.cpu();
        let (mut staged, mut answered) = (0, 0);
        let mut heard = Instant::now();
        while answered < requests {
            while staged < requests && staged - answered < STAGED {
                self.port.stage(params, body).unwrap();
                staged += 1;
            }
            self.port.wake();
            if self.take_answer() {
                answered += 1;
                heard = Instant::now();
            } else {
                std::hint::spin_loop();
                assert!(heard.elapsed() < Duration::from_secs(10), "the worker does not answer");
            }
        }
        self.cpu() - before
    }

    /// Takes what there is of the request in front; whether that was its end.
    fn take_answer(&mut self) -> bool {
        let mut replies = self.port.replies();
        let mut over = false;
        while let Some(reply) = replies.look().unwrap() {
            if let Reply::End(outcome) = reply {
                assert_eq!(outcome, Outcome::Complete);
                over = true;
                break;
            }
        }
        let taken = replies.taken();
        self.port.consume(taken);
        over
    }

    /// The µs that the main thread, which runs the app, has spent on a CPU.
    fn cpu(&self) -> f64 {
        let pid = self.child.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e3
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.port.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker library that was built with the same profile.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(2).unwrap().join("libflupd_worker.so")
}
