//! Where the events of this process go, each in one piece.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::{SendFlags, send};
use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

use super::journal;
use crate::observe::sink::Sink;

/// The longest event, in bytes: it fits into one packet of a socket.
const MAX_EVENT: usize = 80 * 1024;

/// Takes the events of a process. Never waits: what can't be taken is counted,
/// and the number is logged.
#[derive(Debug)]
pub enum Output {
    /// The log itself: this is the process that writes it.
    Sink(Arc<Sink>),
    /// A file: this process stands alone. It waits for the disk as any program does.
    File(File),
    /// The process that writes the log, by a packet socket.
    Socket {
        /// Our end.
        socket: OwnedFd,
        /// Events that were not taken.
        lost: AtomicU64,
    },
}

impl Output {
    /// Sends events to the process at the other end of this packet socket.
    #[must_use]
    pub const fn socket(socket: OwnedFd) -> Self {
        Self::Socket { socket, lost: AtomicU64::new(0) }
    }

    fn take(&self, event: &[u8]) {
        match self {
            Self::Sink(sink) => sink.offer(event),
            // Where that fails there is nobody left to tell.
            Self::File(file) => drop((&*file).write_all(event)),
            Self::Socket { socket, lost } => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                if send(socket.as_fd(), event, flags).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    // Comes here again, with nothing lost.
                    warn!(lost, "log lines were lost: the log took them too slowly");
                }
            }
        }
    }
}

/// Makes the writers that the formatter asks for: one an event.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) output: Output,
    /// Whether each line says how grave it is.
    pub(super) journal: bool,
}

impl<'o> MakeWriter<'o> for Outputs {
    type Writer = Event<'o>;

    fn make_writer(&'o self) -> Event<'o> {
        Event { outputs: self, level: Level::INFO }
    }

    fn make_writer_for(&'o self, metadata: &Metadata<'_>) -> Event<'o> {
        Event { outputs: self, level: *metadata.level() }
    }
}

/// Takes one event.
pub(super) struct Event<'o> {
    outputs: &'o Outputs,
    level: Level,
}

impl io::Write for Event<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Outputs { output, journal } = self.outputs;
        let bounded = cut(event);
        if *journal {
            output.take(cut(&journal::with_priority(self.level, bounded)));
        } else {
            output.take(bounded);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Of an event that is too long the beginning stays, with a line's end.
fn cut(event: &[u8]) -> &[u8] {
    let Some(short) = event.get(..MAX_EVENT) else { return event };
    // Within a line nothing could end it.
    let end = short.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    short.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_too_long_loses_its_last_lines() {
        assert_eq!(cut(b"short\n"), b"short\n");
        let long = [b"first\n".to_vec(), vec![b'x'; MAX_EVENT]].concat();
        assert_eq!(cut(&long), b"first\n");
    }

    #[test]
    fn a_socket_that_nobody_reads_keeps_nobody_waiting_and_losses_are_counted() {
        let (ours, theirs) = flupd_channel::packet::pair().unwrap();
        let output = Output::socket(ours);
        let event = vec![b'x'; 60 * 1024];
        for _ in 0..20 {
            output.take(&event);
        }
        let Output::Socket { lost, .. } = &output else { panic!() };
        let missed = lost.load(Ordering::Relaxed);
        assert!(missed > 0 && missed < 20, "{missed}");
        let (got, _) = flupd_channel::packet::receive(&theirs).unwrap().unwrap();
        assert_eq!(got, event);
        output.take(b"again\n");
        let Output::Socket { lost, .. } = &output else { panic!() };
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }
}
