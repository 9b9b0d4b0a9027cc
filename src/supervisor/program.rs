//! What runs one generation of an app: its configuration, its Python, and the
//! zygote if there is one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use flupd_channel::startup::{WorkerConfig, ZygoteConfig};
use tokio::process::Child;

use super::interpreter::Interpreter;
use super::limits::OpenFiles;
use super::spawn;
use super::zygote::ZygoteProcess;
use crate::config::AppConfig;
use crate::observe::collector::Origin;
use crate::observe::logs::Streams;

/// One generation of an app, ready to be started.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) app: AppConfig,
    pub(super) interpreter: Interpreter,
    library: PathBuf,
    pub(super) zygote: Option<ZygoteProcess>,
    /// How many workers there were or may be at most.
    pub(super) most: usize,
}

impl Program {
    /// Finds the interpreter and our library.
    ///
    /// # Errors
    /// What is missing; the message is for the administrator.
    pub(super) async fn find(app: AppConfig) -> anyhow::Result<Self> {
        let library = spawn::library(if app.solo { spawn::SOLO } else { spawn::WORKER })?;
        let interpreter = Interpreter::find(app.python.as_deref(), &app.privileges).await?;
        let most = app.workers.max;
        Ok(Self { app, interpreter, library, zygote: None, most })
    }

    /// Starts a process of it; what it is, its first message says, which waits
    /// at the other end of `socket`.
    pub(super) fn spawn(
        &self,
        socket: OwnedFd,
        open_files: &OpenFiles,
        streams: Option<Streams>,
    ) -> io::Result<Child> {
        let Self { interpreter, library, app, .. } = self;
        spawn::worker(&interpreter.executable, library, app, socket, streams, open_files.before())
    }

    /// Whose output it is that a worker prints, or the zygote.
    pub(super) fn origin(&self, worker: Option<u64>) -> Origin {
        let process = if worker.is_some() { "worker" } else { "zygote" };
        Origin { process, app: self.app.name.clone(), worker }
    }

    /// What a worker has to run.
    pub(super) fn worker_config(&self, worker: u64) -> WorkerConfig {
        WorkerConfig {
            worker,
            app: self.app.app.clone(),
            script: self.app.script.clone(),
            chdir: self.app.chdir.clone(),
            path: self.app.path.clone(),
            multiprocess: self.multiprocess(),
        }
    }

    /// Whether other processes run the same app. Of a script the web server may
    /// start as many as it likes.
    fn multiprocess(&self) -> bool {
        self.most > 1 || self.app.script.is_some()
    }

    /// What the zygote has to import.
    pub(super) fn zygote_config(&self) -> ZygoteConfig {
        ZygoteConfig {
            app: self.app.app.clone(),
            script: self.app.script.clone(),
            chdir: self.app.chdir.clone(),
            path: self.app.path.clone(),
            multiprocess: self.multiprocess(),
        }
    }

    /// The process id of its zygote.
    pub(super) fn zygote_pid(&self) -> Option<u32> {
        self.zygote.as_ref().map(ZygoteProcess::pid)
    }

    /// Logs what it will run.
    pub(super) fn say(&self) {
        tracing::info!(
            app = self.app.name,
            callable = self.app.app,
            python = %self.interpreter.executable.display(),
            python_version = self.interpreter.version,
            workers = %self.app.workers,
            threads = self.app.threads,
            preload = self.app.preload,
            solo = self.app.solo,
            defaults = self.app.defaults.join(", "),
            "starting app"
        );
    }
}
