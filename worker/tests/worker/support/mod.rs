//! Plays supervisor and gateway to real workers, under every Python there is.

mod python;
mod zygote;

use std::fs::File;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use cgi::Params;
use command_fds::{CommandFdExt, FdMapping};
use flupd_channel::gateway::{self, Body, Memory, Payload, Port};
use flupd_channel::probe::{Frame, Probe};
use flupd_channel::startup::{
    STATUS_FD, Task, WorkerConfig, WorkerStatus, decode_status, send_task,
};
use flupd_channel::{ChannelError, LogLevel, Outcome, packet};
use tokio::runtime::{Builder, Runtime};

pub use python::{Python, pythons};
pub use zygote::Zygote;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a worker.
pub struct Start {
    pub app: String,
    pub threads: usize,
    pub chdir: Option<PathBuf>,
    pub path: Vec<PathBuf>,
    pub multiprocess: bool,
}

impl Start {
    /// An app of `tests/apps`, on one thread.
    pub fn app(app: &str) -> Self {
        let chdir = Some(apps());
        Self { app: app.into(), threads: 1, chdir, path: Vec::new(), multiprocess: false }
    }

    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Starts it and waits for what it says; panics if it says nothing.
    pub fn on(&self, python: &Python) -> (Worker, WorkerStatus) {
        let (child, ours) = spawn(python);
        let (gateway, ends) = Gateway::new(self.threads);
        let config = WorkerConfig {
            worker: 3,
            app: self.app.clone(),
            script: None,
            chdir: self.chdir.clone(),
            path: self.path.clone(),
            multiprocess: self.multiprocess,
        };
        let borrowed: Vec<_> = ends.iter().map(AsFd::as_fd).collect();
        send_task(&ours, &Task::Serve(config), &borrowed).unwrap();
        drop(ends);
        let mut worker = Worker { child, gateway };
        match packet::receive(&ours) {
            Ok(Some((message, _))) => (worker, decode_status(&message).unwrap()),
            other => {
                let (status, _, stderr) = worker.leave();
                panic!("{python}: {other:?} for a status, {status}: {stderr}");
            }
        }
    }

    /// Starts it where it has to succeed.
    pub fn ready(&self, python: &Python) -> Worker {
        match self.on(python) {
            (worker, WorkerStatus::Ready { .. }) => worker,
            (_, other) => panic!("{python}: {}: {other:?}", self.app),
        }
    }
}

/// Starts the worker library in this Python; the socket is the supervisor's.
fn spawn(python: &Python) -> (Child, OwnedFd) {
    let (ours, theirs) = packet::pair().unwrap();
    let mut command = Command::new(&python.executable);
    command
        .args(["-c", include_str!("../../../src/bootstrap.py")])
        .arg(library())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .fd_mappings(vec![FdMapping { parent_fd: theirs, child_fd: STATUS_FD }])
        .unwrap();
    (command.spawn().unwrap(), ours)
}

/// A running worker, and the gateway that it serves.
pub struct Worker {
    child: Child,
    gateway: Gateway,
}

impl Deref for Worker {
    type Target = Gateway;
    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut Gateway {
        &mut self.gateway
    }
}

/// The gateway's ends of a channel.
pub struct Gateway {
    runtime: Runtime,
    pub ports: Vec<Port>,
    probe: Probe,
    _memory: Memory,
}

/// One reply, taken out of the shared memory.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Head(Vec<u8>),
    Body(Vec<u8>),
    Stderr(Vec<u8>),
    Log(LogLevel, Vec<u8>),
    End(Outcome),
}

/// All that came back for one request.
#[derive(Debug, Default)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
    /// How the body came.
    pub parts: Vec<usize>,
    pub errors: String,
    pub log: Vec<(LogLevel, String)>,
    pub outcome: Option<Outcome>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// All log lines in one text.
    pub fn logged(&self) -> String {
        self.log.iter().map(|(_, text)| format!("{text}\n")).collect()
    }

    fn take(&mut self, reply: Reply) -> bool {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match reply {
            Reply::Head(head) => self.head = head.iter().copied().map(char::from).collect(),
            Reply::Body(part) => {
                self.parts.push(part.len());
                self.body.extend_from_slice(&part);
            }
            Reply::Stderr(part) => self.errors += &text(&part),
            Reply::Log(level, line) => self.log.push((level, text(&line))),
            Reply::End(outcome) => {
                self.outcome = Some(outcome);
                return true;
            }
        }
        false
    }
}

/// The next reply in the ring. The last part of a head comes with the parts
/// before it.
fn take(port: &mut Port) -> Result<Option<Reply>, ChannelError> {
    let copy = |payload: Payload<'_>| {
        let mut bytes = BytesMut::new();
        payload.append_to(&mut bytes);
        bytes.to_vec()
    };
    let mut replies = port.replies();
    let mut head = Vec::new();
    let reply = loop {
        match replies.look()? {
            None => return Ok(None),
            Some(gateway::Reply::Head { text, last, .. }) => {
                head.extend(copy(text));
                if last {
                    break Reply::Head(head);
                }
            }
            Some(gateway::Reply::Body { part, .. }) => break Reply::Body(copy(part)),
            Some(gateway::Reply::Stderr(text)) => break Reply::Stderr(copy(text)),
            Some(gateway::Reply::Log(level, text)) => break Reply::Log(level, copy(text)),
            Some(gateway::Reply::Times(_)) => {}
            Some(gateway::Reply::End(outcome)) => break Reply::End(outcome),
        }
    };
    let taken = replies.taken();
    port.consume(taken);
    Ok(Some(reply))
}

/// What a web server sends for a request, normalised.
pub fn params(method: &str, path: &str, length: usize) -> Params {
    let mut params = Params::new();
    let length = length.to_string();
    for (name, value) in [
        ("REQUEST_METHOD", method),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("QUERY_STRING", ""),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", "localhost"),
    ] {
        params.push(name.as_bytes(), value.as_bytes());
    }
    if length != "0" {
        params.push(b"CONTENT_LENGTH", length.as_bytes());
    }
    params
}

impl Gateway {
    /// The worker's ends, too.
    fn new(threads: usize) -> (Self, Vec<OwnedFd>) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let ends = flupd_channel::create(threads, &flupd_channel::bell().unwrap()).unwrap();
        let mut ends = ends.with_probe().unwrap();
        let entered = runtime.enter();
        let probe = Probe::split_off(&mut ends.gateway).unwrap();
        let (memory, ports) = gateway::open(ends.gateway).unwrap();
        drop(entered);
        (Self { runtime, ports, probe, _memory: memory }, ends.worker)
    }

    /// Wants no more of the worker.
    pub fn close(&mut self) {
        self.ports.iter().for_each(Port::close);
        self.ports.clear();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, b"")
    }

    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let params = params(method, path, body.len());
        self.send(0, &params, &Body::Memory(body.to_vec()));
        self.receive(0)
    }

    pub fn send(&mut self, port: usize, params: &Params, body: &Body) {
        self.ports[port].stage(params, body).unwrap();
        self.ports[port].wake();
    }

    pub fn cancel(&mut self, port: usize) {
        self.ports[port].cancel(0);
    }

    /// Where a thread is.
    pub fn frames(&self, thread: usize, patience: Duration) -> std::io::Result<Vec<Frame>> {
        self.runtime.block_on(self.probe.frames(thread, patience))
    }

    /// The request of this number has had its time.
    pub fn limit(&self, thread: usize, request: u32) {
        self.probe.limit(thread, request).unwrap();
    }

    /// One reply, as it comes.
    pub fn reply(&mut self, port: usize) -> Result<Reply, ChannelError> {
        let port = &mut self.ports[port];
        let begun = Instant::now();
        let mut gone = false;
        loop {
            if let Some(reply) = take(port)? {
                return Ok(reply);
            }
            if gone {
                return Err(ChannelError::Closed);
            }
            let nap = Duration::from_millis(1);
            let closed = async { tokio::time::timeout(nap, port.gone()).await };
            // What it said before its end is still to be read.
            gone = self.runtime.block_on(closed).is_ok();
            assert!(begun.elapsed() < PATIENCE, "the worker does not answer");
        }
    }

    /// All replies to the end; without an outcome when the port closed before.
    pub fn receive(&mut self, port: usize) -> Answer {
        let mut answer = Answer::default();
        loop {
            match self.reply(port) {
                Ok(reply) => {
                    if answer.take(reply) {
                        return answer;
                    }
                }
                Err(ChannelError::Closed) => return answer,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Worker {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes all ports and waits for the process. Its status, stdout, stderr.
    pub fn leave(&mut self) -> (ExitStatus, String, String) {
        self.close();
        self.ended()
    }

    /// Waits for the process. Its status, stdout, stderr.
    pub fn ended(&mut self) -> (ExitStatus, String, String) {
        ended(&mut self.child)
    }
}

fn ended(child: &mut Child) -> (ExitStatus, String, String) {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                let (status, stdout, stderr) = ended(child);
                panic!("the process does not leave, {status}: {stdout}{stderr}")
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout).unwrap();
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut stderr).unwrap();
    }
    (status, stdout, stderr)
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the test apps are.
pub fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps")
}

/// The library that cargo built beside this test. It is held open and named by
/// a link to its descriptor, so that another build can't take it away while tests
/// run.
pub fn library() -> PathBuf {
    static LIBRARY: OnceLock<(File, PathBuf)> = OnceLock::new();
    let (_, link) = LIBRARY.get_or_init(|| {
        let name = "libflupd_worker.so";
        let file = File::open(std::env::current_exe().unwrap().with_file_name(name)).unwrap();
        let process = std::process::id();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("worker-{process}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join(name);
        let target = format!("/proc/{process}/fd/{}", file.as_raw_fd());
        std::os::unix::fs::symlink(target, &link).unwrap();
        (file, link)
    });
    link.clone()
}
