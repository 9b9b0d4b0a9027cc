//! The thread that reads what flupd's other processes write: log events and
//! access log lines of the gateway, and what apps print.
//!
//! It understands nothing of it but where a line ends. Nobody waits for anybody
//! else here: each source is read a little at a time, in turn.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tracing::{error, info};

use super::lines::{Line, Lines, printable};
use super::log::{LogFormat, OUTPUT};
use super::sink::{Sink, quietly};

/// How long the end of a line is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much is read at once, in bytes: a whole packet, for one.
const READ: usize = flupd_channel::packet::MAX_PACKET;

/// The process of which little is heard: what it logs comes another way.
pub const GATEWAY: &str = "gateway";

/// Whose output it is, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `worker`, `zygote`, or [`GATEWAY`].
    pub process: &'static str,
    /// The name of the app, where there are several.
    pub app: Option<String>,
    /// The worker's number.
    pub worker: Option<u64>,
}

/// Something to read, to its end.
#[derive(Debug)]
pub enum Source {
    /// A pipe into which a process prints.
    Output {
        /// Our end.
        pipe: OwnedFd,
        /// Who prints.
        origin: Origin,
        /// `stdout` or `stderr`.
        stream: &'static str,
    },
    /// A packet socket of whole lines for this log.
    Lines {
        /// Our end.
        socket: OwnedFd,
        /// Where they go.
        sink: Arc<Sink>,
    },
}

/// The handle to the thread.
#[derive(Debug)]
pub struct Collector {
    sources: mpsc::UnboundedSender<Source>,
    closing: watch::Sender<bool>,
    ended: std::sync::mpsc::Receiver<()>,
}

impl Collector {
    /// Starts the thread. What apps print goes to the log by `tracing`, whose
    /// lines end in `log`.
    ///
    /// # Errors
    /// When the thread or its runtime can't be started.
    pub fn start(log: Arc<Sink>, format: LogFormat) -> io::Result<Self> {
        let (sources, inbox) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        let (end, ended) = std::sync::mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        quietly(move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(serve(inbox, closed, log, format)));
            // Those that still read see that it is over and end.
            runtime.block_on(local);
            drop(end);
        })?;
        Ok(Self { sources, closing, ended })
    }

    /// Reads this as well from now on.
    pub fn read(&self, source: Source) {
        // The thread ends after `finish` only.
        let _ = self.sources.send(source);
    }

    /// Reads what is there and then no more. To be called when those that write
    /// have ended. Waits for `patience` at most.
    pub fn finish(&self, patience: Duration) {
        self.closing.send_replace(true);
        let _ = self.ended.recv_timeout(patience);
    }
}

async fn serve(
    mut inbox: mpsc::UnboundedReceiver<Source>,
    mut closing: watch::Receiver<bool>,
    log: Arc<Sink>,
    format: LogFormat,
) {
    loop {
        let source = tokio::select! {
            biased;
            Some(source) = inbox.recv() => source,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let closing = closing.clone();
        match source {
            Source::Output { pipe, origin, stream } => match Reader::new(pipe, closing) {
                Ok(reader) => {
                    let printed = Printed { origin, stream, format };
                    tokio::task::spawn_local(printed.follow(reader, Arc::clone(&log)));
                }
                Err(error) => error!(%error, "the output of a process can't be read"),
            },
            Source::Lines { socket, sink } => match Reader::new(socket, closing) {
                Ok(reader) => drop(tokio::task::spawn_local(copy(reader, sink))),
                Err(error) => error!(%error, "the log lines of a process can't be read"),
            },
        }
    }
}

/// Copies lines until their writer has gone.
async fn copy(mut reader: Reader, sink: Arc<Sink>) {
    let mut more = true;
    while more {
        sink.ready().await;
        more = reader.read(|lines| sink.offer(lines)).await;
    }
}

/// What a process prints on one of its streams.
struct Printed {
    origin: Origin,
    stream: &'static str,
    format: LogFormat,
}

impl Printed {
    /// Logs each line until nobody has the stream open any more.
    async fn follow(self, mut reader: Reader, log: Arc<Sink>) {
        let (mut lines, mut more) = (Lines::default(), true);
        while more {
            log.ready().await;
            let begun = lines.has_begun();
            let read = reader.read(|bytes| lines.push(bytes, |line| self.log(line)));
            if !begun {
                more = read.await;
            } else if let Ok(read) = tokio::time::timeout(PATIENCE, read).await {
                more = read;
            } else {
                lines.flush(|line| self.log(line));
            }
        }
        lines.flush(|line| self.log(line));
    }

    fn log(&self, line: Line<'_>) {
        let text = match self.format {
            LogFormat::Text => printable(line.bytes).into(),
            LogFormat::Json => String::from_utf8_lossy(line.bytes),
        };
        let Origin { process, app, worker } = &self.origin;
        let continues = line.continues.then_some(true);
        let (stream, line) = (self.stream, &text);
        if *process == GATEWAY {
            info!(target: OUTPUT, stream, continues, %line, "gateway output");
        } else {
            // Of a worker its number says enough.
            let process = worker.is_none().then_some(process);
            info!(target: OUTPUT, app, worker, process, stream, continues, %line, "app output");
        }
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A pipe, or a packet socket, of which one read takes a packet.
struct Reader {
    fd: pipe::Receiver,
    closing: watch::Receiver<bool>,
}

impl Reader {
    fn new(fd: OwnedFd, closing: watch::Receiver<bool>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // Not checked: it need not be a pipe for what is done with it.
        Ok(Self { fd: pipe::Receiver::from_owned_fd_unchecked(fd)?, closing })
    }

    /// Waits until something is there, and hands it to `take`. `false` at the end,
    /// or, when all is over, when nothing is there. May be dropped while it waits.
    async fn read(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        loop {
            // Before the look: what was there when all was over is taken.
            let over = *self.closing.borrow();
            let read = BUFFER.with_borrow_mut(|buffer| {
                let count = if over {
                    // The runtime may not know yet that it is readable.
                    rustix::io::read(&self.fd, &mut *buffer)?
                } else {
                    self.fd.try_read(buffer)?
                };
                take(buffer.get(..count).unwrap_or_default());
                io::Result::Ok(count)
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !over => {}
                read => return read.is_ok_and(|count| count > 0),
            }
            tokio::select! {
                ready = self.fd.readable() => if ready.is_err() { return false },
                _ = self.closing.wait_for(|closing| *closing) => {}
            }
        }
    }
}
