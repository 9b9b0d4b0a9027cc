//! All logs of one flupd, in the hands of the supervisor: the one process that
//! writes them, so that no line is torn and one process opens them again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use flupd_channel::packet;

use super::collector::{Collector, Origin, Source};
use super::log::{self, LogConfig, Output};
use super::sink::{Sink, Target};

/// How long what is written last may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The logs of a flupd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsConfig {
    /// Which messages are logged, and how.
    pub form: LogConfig,
    /// Where the log goes.
    pub log: Target,
    /// Whether what apps print becomes lines of the log.
    pub capture: bool,
}

/// The open logs.
#[derive(Debug)]
pub struct Logs {
    log: Arc<Sink>,
    collector: Collector,
    capture: bool,
}

/// Standard output and standard error of a process.
#[derive(Debug)]
pub struct Streams {
    /// The end into which it prints.
    pub stdout: OwnedFd,
    /// The same for what went wrong.
    pub stderr: OwnedFd,
}

impl Logs {
    /// Opens the logs, and starts to log this process's own events.
    ///
    /// # Errors
    /// What keeps a file from being opened or a thread from being started, with
    /// the file's name.
    pub fn start(config: &LogsConfig) -> io::Result<Self> {
        let target = &config.log;
        let log = Sink::open(target.clone())
            .map_err(|error| io::Error::new(error.kind(), format!("{target}: {error}")))?;
        log::start(config.form, Output::Sink(Arc::clone(&log)));
        let collector = Collector::start(Arc::clone(&log), config.form.format)?;
        Ok(Self { log, collector, capture: config.capture })
    }

    /// Where a gateway sends its events: its end of a packet socket.
    ///
    /// # Errors
    /// What `socketpair(2)` reports.
    pub fn for_gateway(&self) -> io::Result<OwnedFd> {
        let (socket, theirs) = packet::pair()?;
        self.collector.read(Source::Lines { socket, sink: Arc::clone(&self.log) });
        Ok(theirs)
    }

    /// Where a process prints. `None`: where flupd itself would.
    ///
    /// # Errors
    /// What `pipe(2)` reports.
    pub fn capture(&self, origin: &Origin) -> io::Result<Option<Streams>> {
        if !self.capture {
            return Ok(None);
        }
        let pipe = |stream| {
            let (pipe, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            self.collector.read(Source::Output { pipe, origin: origin.clone(), stream });
            io::Result::Ok(theirs)
        };
        Ok(Some(Streams { stdout: pipe("stdout")?, stderr: pipe("stderr")? }))
    }

    /// Opens the files again: whoever has moved them away gets new ones. Lines
    /// that came before are still written to the old ones.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Writes what there is to write. Nothing that is written later is read.
    pub fn finish(&self) {
        self.collector.finish(FAREWELL);
        self.log.flush(FAREWELL);
    }
}
