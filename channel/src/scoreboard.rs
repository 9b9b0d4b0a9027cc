//! Who is idle and who is busy: shared by app threads or forked processes and
//! the one that decides how many there are.
//!
//! Each of them writes its own word. Whoever goes past a bound that the decider
//! has set rings it; nobody is asked, and nobody polls.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::memory::{self, Mapping, Shared};
use crate::sync::{AtomicU32, Ordering};

/// How many places a scoreboard has.
pub const MAX_PLACES: usize = 1008;

/// What is written in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nobody is here.
    Nobody = 0,
    /// Waits for a request.
    Idle = 1,
    /// Has a request.
    Busy = 2,
}

#[derive(Debug)]
#[repr(C, align(64))]
struct Board {
    /// Fewer idle ones than this: ring.
    least_idle: AtomicU32,
    /// More idle ones than this: ring.
    most_idle: AtomicU32,
    /// How many places are in use.
    used: AtomicU32,
    places: [AtomicU32; MAX_PLACES],
}

// SAFETY: Atomics and padding only, `repr(C)`.
unsafe impl Shared for Board {}

/// A scoreboard. A process that is forked shares it with its parent.
#[derive(Debug)]
pub struct Scoreboard {
    memory: Mapping,
    bell: OwnedFd,
}

impl Scoreboard {
    /// With `places` places, at most [`MAX_PLACES`], nobody on it, and no bounds.
    ///
    /// # Errors
    /// What the operating system reports, usually that no descriptor is left.
    pub fn new(places: usize) -> io::Result<Self> {
        let length = size_of::<Board>();
        let memory = Mapping::new(memory::create("flupd-scoreboard", length)?, length)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let board = Self { memory, bell };
        board.bound(0, u32::MAX);
        let used = u32::try_from(places.min(MAX_PLACES)).unwrap_or(0);
        board.board().used.store(used, Ordering::Relaxed);
        Ok(board)
    }

    /// Rings from now on when fewer than `least` or more than `most` are idle.
    pub fn bound(&self, least: u32, most: u32) {
        self.board().least_idle.store(least, Ordering::Relaxed);
        self.board().most_idle.store(most, Ordering::Relaxed);
    }

    /// Writes a place's mark; rings if that goes past a bound. A place that does
    /// not exist has no mark.
    pub fn mark(&self, place: usize, mark: Mark) {
        let board = self.board();
        let Some(word) = self.places().get(place) else { return };
        // With SeqCst, of two that go busy together the later one counts both.
        word.store(mark as u32, Ordering::SeqCst);
        let past = match mark {
            Mark::Nobody => false,
            Mark::Idle => self.count(Mark::Idle) > board.most_idle.load(Ordering::Relaxed),
            Mark::Busy => self.count(Mark::Idle) < board.least_idle.load(Ordering::Relaxed),
        };
        if past {
            // The counter can't overflow, and nothing else fails.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// What is written in a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Mark {
        match self.places().get(place).map_or(0, |word| word.load(Ordering::SeqCst)) {
            1 => Mark::Idle,
            2 => Mark::Busy,
            _ => Mark::Nobody,
        }
    }

    /// How many places have this mark.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u32 {
        let with = |word: &&AtomicU32| word.load(Ordering::SeqCst) == mark as u32;
        // There are far fewer places than numbers.
        self.places().iter().filter(with).count() as u32
    }

    fn places(&self) -> &[AtomicU32] {
        let used = self.board().used.load(Ordering::Relaxed) as usize;
        self.board().places.get(..used).unwrap_or_default()
    }

    /// The bell has been heard.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn hear(&self) -> io::Result<()> {
        match rustix::io::read(&self.bell, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn board(&self) -> &Board {
        self.memory.at::<Board>(0)
    }
}

/// Readable when the bell has rung.
impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn rang(board: &Scoreboard) -> bool {
        let mut fds = [PollFd::new(board, PollFlags::IN)];
        let rang = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1;
        board.hear().unwrap();
        rang
    }

    #[test]
    fn it_rings_past_its_bounds_and_only_there() {
        let board = Scoreboard::new(4).unwrap();
        board.bound(1, 2);
        board.mark(0, Mark::Idle);
        board.mark(1, Mark::Idle);
        assert!(!rang(&board));
        board.mark(0, Mark::Busy);
        assert!(!rang(&board), "one is idle still");
        board.mark(1, Mark::Busy);
        assert!(rang(&board), "none is idle");
        board.mark(0, Mark::Idle);
        board.mark(1, Mark::Idle);
        assert!(!rang(&board));
        board.mark(2, Mark::Idle);
        assert!(rang(&board), "three are idle");
        assert_eq!(
            (board.count(Mark::Idle), board.at(2), board.at(3)),
            (3, Mark::Idle, Mark::Nobody)
        );
        board.mark(4, Mark::Idle);
        assert_eq!(board.count(Mark::Idle), 3);
    }
}
