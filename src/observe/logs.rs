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
use crate::config::otlp::Otlp;

/// How long what is written last may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The logs of a flupd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsConfig {
    /// Which messages are logged, and how.
    pub form: LogConfig,
    /// Where the log goes.
    pub log: Target,
    /// The access log, if there is one.
    pub access: Option<AccessConfig>,
    /// Whether what apps print becomes lines of the log.
    pub capture: bool,
    /// Whether requests get ids of which the web server sends none.
    pub make_ids: bool,
    /// Where spans go, if there are any.
    pub otlp: Option<Otlp>,
}

/// An access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// Where it goes.
    pub to: Target,
    /// Its format, which was parsed once and is right.
    pub format: String,
}

/// The open logs.
#[derive(Debug)]
pub struct Logs {
    log: Arc<Sink>,
    access: Option<Arc<Sink>>,
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
        let open = |target: &Target| {
            Sink::open(target.clone())
                .map_err(|error| io::Error::new(error.kind(), format!("{target}: {error}")))
        };
        let log = open(&config.log)?;
        let access = config.access.as_ref().map(|access| {
            // One file has one writer, whatever it is called.
            let same = access.to.is_same_as(&config.log);
            if same { Ok(Arc::clone(&log)) } else { open(&access.to) }
        });
        let access = access.transpose()?;
        log::start(config.form, Output::Sink(Arc::clone(&log)));
        let collector = Collector::start(Arc::clone(&log), config.form.format)?;
        Ok(Self { log, access, collector, capture: config.capture })
    }

    /// Where a gateway sends its lines: its ends of packet sockets, the access
    /// log's if there is one, then the log's.
    ///
    /// # Errors
    /// What `socketpair(2)` reports.
    pub fn for_gateway(&self) -> io::Result<Vec<OwnedFd>> {
        self.access.iter().chain([&self.log]).map(|sink| self.lines(sink)).collect()
    }

    /// The socket by which a process logs what happens.
    ///
    /// # Errors
    /// What `socketpair(2)` reports.
    pub fn for_events(&self) -> io::Result<OwnedFd> {
        self.lines(&self.log)
    }

    fn lines(&self, sink: &Arc<Sink>) -> io::Result<OwnedFd> {
        let (socket, theirs) = packet::pair()?;
        self.collector.read(Source::Lines { socket, sink: Arc::clone(sink) });
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
        if let Some(access) = &self.access {
            access.reopen();
        }
    }

    /// Writes what there is to write. Nothing that is written later is read.
    pub fn finish(&self) {
        self.collector.finish(FAREWELL);
        if let Some(access) = &self.access {
            access.flush(FAREWELL);
        }
        self.log.flush(FAREWELL);
    }
}
