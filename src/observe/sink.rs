//! One log file, written by a thread of its own: nobody else ever waits for a
//! disk, or for somebody who does not read our standard error.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// How many bytes may wait to be written. What comes then is lost, and counted.
const CAPACITY: usize = 4 << 20;

/// Who can wait does so from here on: the rest is for those who can't.
const CROWDED: usize = CAPACITY / 2;

/// How much memory for bytes stays after a flood of them.
const KEPT: usize = 256 << 10;

/// A write that takes longer than this is no ordinary slowness: nobody waits for
/// it any more.
const STUCK: Duration = Duration::from_secs(1);

/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The mode of new log files: they may name people.
const MODE: u32 = 0o640;

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, duplicated.
    Stdout,
    /// Standard error, duplicated.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// A log that takes whole lines.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    state: Mutex<State>,
    /// The writer has something to do.
    work: Condvar,
    /// The writer has done something.
    progress: Notify,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines for which there was no room.
    lost: u64,
    /// Since when the writer has been writing.
    writing: Option<Instant>,
    reopen: bool,
}

impl Sink {
    /// Opens the log and starts its writer, for as long as the process lives.
    ///
    /// # Errors
    /// What keeps the file from being opened or the thread from being started.
    pub fn open(target: Target) -> io::Result<Arc<Self>> {
        let output = target.open()?;
        let sink = Arc::new(Self {
            target,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Notify::new(),
            done: Condvar::new(),
        });
        let writer = Arc::clone(&sink);
        quietly(move || writer.write_forever(output))?;
        Ok(sink)
    }

    /// Takes lines to be written, and never waits. Lines for which there is no
    /// room are lost; their number is logged when there is room again.
    pub fn offer(&self, lines: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + lines.len() > CAPACITY {
            state.lost += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.work.notify_one();
    }

    /// Waits until there is ample room, or the writer is stuck and waiting would
    /// be in vain.
    pub async fn ready(&self) {
        loop {
            let progress = self.progress.notified();
            let left = {
                let state = self.state();
                if state.waiting.len() < CROWDED {
                    return;
                }
                let written_for = state.writing.map_or(Duration::ZERO, |since| since.elapsed());
                match STUCK.checked_sub(written_for) {
                    Some(left) => left,
                    None => return,
                }
            };
            // In vain or not: the state says it.
            let _ = tokio::time::timeout(left, progress).await;
        }
    }

    /// Has the writer open the file again, once all that was offered before is
    /// written: whoever has moved the file away gets a new one. If that fails the
    /// old one stays in use.
    pub fn reopen(&self) {
        if matches!(self.target, Target::File(_)) {
            self.state().reopen = true;
            self.work.notify_one();
        }
    }

    /// Waits until all is written, for `patience` at most.
    pub fn flush(&self, patience: Duration) {
        let busy = |state: &mut State| !state.waiting.is_empty() || state.writing.is_some();
        let waited = self.done.wait_timeout_while(self.state(), patience, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn write_forever(&self, mut output: File) {
        let mut batch = Vec::new();
        loop {
            let (reopen, lost) = {
                let idle = |state: &mut State| state.waiting.is_empty() && !state.reopen;
                let waited = self.work.wait_while(self.state(), idle);
                let mut state = waited.unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut batch, &mut state.waiting);
                state.writing = Some(Instant::now());
                (std::mem::take(&mut state.reopen), std::mem::take(&mut state.lost))
            };
            self.write(&mut output, &batch);
            batch.clear();
            batch.shrink_to(KEPT);
            if reopen {
                self.open_again(&mut output);
            }
            if lost > 0 {
                warn!(log = %self.target, lost, "log lines were lost: the log took them too slowly");
            }
            self.state().writing = None;
            self.progress.notify_waiters();
            self.done.notify_all();
        }
    }

    /// Writes all of it, however long that takes: a line is never torn.
    fn write(&self, output: &mut File, mut batch: &[u8]) {
        let mut complained = false;
        while !batch.is_empty() {
            match output.write(batch) {
                Ok(0) => return,
                Ok(count) => batch = batch.get(count..).unwrap_or_default(),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    // Somebody shares the descriptor and has made it so.
                    io::ErrorKind::WouldBlock => {
                        let _ = poll(&mut [PollFd::new(output, PollFlags::OUT)], None);
                    }
                    // Nobody will ever read it.
                    io::ErrorKind::BrokenPipe => return,
                    _ => {
                        if !std::mem::replace(&mut complained, true) {
                            error!(log = %self.target, %error, "log can't be written; trying again");
                        }
                        std::thread::sleep(RETRY);
                        if self.state().reopen {
                            self.open_again(output);
                        }
                    }
                },
            }
        }
    }

    fn open_again(&self, output: &mut File) {
        match self.target.open() {
            Ok(new) => {
                *output = new;
                info!(log = %self.target, "log reopened");
            }
            Err(error) => {
                error!(log = %self.target, %error, "log can't be reopened; the old file stays in use");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// Whether both are the same file, which must have one writer only.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let place = |target: &Self| {
            let file = target.open().ok()?.metadata().ok()?;
            Some((file.dev(), file.ino()))
        };
        self == other || place(self).is_some_and(|here| Some(here) == place(other))
    }

    /// Opens it, to append.
    ///
    /// # Errors
    /// What `open(2)` reports.
    pub fn open(&self) -> io::Result<File> {
        match self {
            Self::Stdout => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Self::Stderr => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
            Self::File(path) => append(path),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(MODE).open(path)
}

/// Starts a thread that no signal ever interrupts: they are for the main thread.
pub(super) fn quietly(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    let started = std::thread::Builder::new().name("flupd-log".into()).spawn(work);
    before.thread_set_mask()?;
    started.map(drop)
}
