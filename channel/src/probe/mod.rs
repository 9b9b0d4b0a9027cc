//! Where a worker's threads are, asked at any time, and told to stop a request:
//! three pipes beside the shared memory.
//!
//! ```text
//! gateway                                worker
//!   Probe ──asks─────▶ signal handler: which thread is asked
//!         ◀─answers── its Python frames, as text
//!         ──limits───▶ the request that has had its time
//! ```
//!
//! A worker that has the interpreter in C code, sleeps or computes reads nothing.
//! So the kernel tells it: a write to such a pipe sends its reader a signal
//! (fcntl(2), `O_ASYNC`), which needs no privilege, process id or thread.

#[cfg(feature = "gateway")]
mod asker;
mod frames;
#[cfg(feature = "gateway")]
mod turn;

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

#[cfg(feature = "gateway")]
pub use asker::Probe;
pub use frames::{Frame, MAX_FRAMES};

/// How many descriptors each side has.
pub const DESCRIPTORS: usize = 3;

/// The worker's ends. None of them waits.
#[derive(Debug)]
pub struct Probed {
    /// Orders to say where a thread is; each number is the answer's.
    pub asks: OwnedFd,
    /// Orders to end a request; each number is the request's.
    pub limits: OwnedFd,
    /// Takes the answers: see [`begin`] and [`end`].
    pub answers: OwnedFd,
}

impl Probed {
    /// Takes them off the end of a worker's descriptors.
    ///
    /// # Errors
    /// `InvalidData` when there are too few.
    pub fn split_off(fds: &mut Vec<OwnedFd>) -> io::Result<Self> {
        let [asks, limits, answers] = split_off(fds)?;
        Ok(Self { asks, limits, answers })
    }
}

/// What goes to one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The app thread, counted from 0.
    pub thread: u16,
    /// Of the question or of the request; never 0.
    pub number: u32,
}

impl Order {
    /// Its length in a pipe, in bytes.
    pub const SIZE: usize = 8;

    /// As it travels. One write puts it whole into a pipe.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let ([a, b], [c, d, e, f]) = (self.thread.to_le_bytes(), self.number.to_le_bytes());
        [a, b, 0, 0, c, d, e, f]
    }

    /// From what was read.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, _, _, c, d, e, f] = bytes;
        Self { thread: u16::from_le_bytes([a, b]), number: u32::from_le_bytes([c, d, e, f]) }
    }
}

/// The line in front of an answer: which question it answers, and how many of
/// the outermost frames are flupd's.
pub fn begin(to: &mut impl std::fmt::Write, order: Order, ours: u16) -> std::fmt::Result {
    writeln!(to, "asked {} {} {ours}", order.number, order.thread)
}

/// The line after an answer.
pub fn end(to: &mut impl std::fmt::Write, order: Order) -> std::fmt::Result {
    writeln!(to, "end {}", order.number)
}

/// The line in place of that: it could not be answered at that moment.
pub fn again(to: &mut impl std::fmt::Write, order: Order) -> std::fmt::Result {
    // What stands before may have no end.
    writeln!(to, "\nagain {}", order.number)
}

/// Makes both sides: the gateway's descriptors and the worker's.
///
/// # Errors
/// What `pipe2(2)` reports.
pub(crate) fn pair() -> io::Result<([OwnedFd; DESCRIPTORS], [OwnedFd; DESCRIPTORS])> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
    let (asked, asks) = pipe()?;
    let (limited, limits) = pipe()?;
    let (answers, answered) = pipe()?;
    Ok(([asks, limits, answers], [asked, limited, answered]))
}

fn split_off(fds: &mut Vec<OwnedFd>) -> io::Result<[OwnedFd; DESCRIPTORS]> {
    let missing =
        || io::Error::new(io::ErrorKind::InvalidData, "a probe's descriptors are missing");
    let at = fds.len().checked_sub(DESCRIPTORS).ok_or_else(missing)?;
    fds.split_off(at).try_into().map_err(|_| missing())
}
