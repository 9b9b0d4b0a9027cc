//! The asking side.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Mutex;

use super::frames::{Answer, Frame, parse};
use super::turn::Turn;
use super::{Order, split_off};
use crate::memory::Mapping;
use crate::onlooker::Onlooker;

/// How long to wait before a thread is asked again.
const PAUSE: Duration = Duration::from_millis(1);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// Asks one worker where its threads are, and tells it which request has had its
/// time.
#[derive(Debug)]
pub struct Probe {
    asks: Sender,
    limits: Sender,
    /// With the number of the last question. One is asked at a time.
    answers: Mutex<(Receiver, u32)>,
    /// Where it stands whose turn it is, if other processes ask as well.
    shared: Option<Arc<Mapping>>,
}

impl Probe {
    /// How many descriptors it has.
    pub const DESCRIPTORS: usize = 3;

    /// Takes its descriptors off the end of those that the gateway got for a
    /// worker. Needs a running tokio runtime.
    ///
    /// # Errors
    /// `InvalidData` when there are too few; otherwise what the operating system
    /// reports.
    pub fn split_off(fds: &mut Vec<OwnedFd>) -> io::Result<Self> {
        let [asks, limits, answers] = split_off(fds)?;
        Ok(Self {
            asks: Sender::from_owned_fd(asks)?,
            limits: Sender::from_owned_fd(limits)?,
            answers: Mutex::new((Receiver::from_owned_fd(answers)?, 0)),
            shared: None,
        })
    }

    /// Other processes may ask the same worker, with duplicates of these descriptors:
    /// they take turns.
    #[must_use]
    pub fn in_turns(mut self, worker: &Onlooker) -> Self {
        // An answer for which nobody waits any more must not pass for one of ours.
        self.answers.get_mut().1 = std::process::id().wrapping_mul(0x9E37_79B1);
        self.shared = Some(Arc::clone(&worker.mapping));
        self
    }

    /// The Python frames of an app thread above flupd's own, innermost first.
    /// Takes no longer than `patience`. May be dropped while it waits.
    ///
    /// # Errors
    /// `TimedOut` when the thread does not answer: the kernel holds it, or the
    /// app has taken the signal away. `InvalidData` for an endless answer,
    /// otherwise what the pipes report.
    pub async fn frames(&self, thread: usize, patience: Duration) -> io::Result<Vec<Frame>> {
        let asked = async {
            let (answers, number) = &mut *self.answers.lock().await;
            let _turn = match &self.shared {
                Some(memory) => Some(Turn::wait(memory).await),
                None => None,
            };
            loop {
                *number = number.wrapping_add(1).max(1);
                order(&self.asks, thread, *number)?;
                match answer(answers, *number).await? {
                    Some(frames) => return Ok(frames),
                    // It is elsewhere in a moment.
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        tokio::time::timeout(patience, asked).await?
    }

    /// The app thread's request of this number has had its time. It is told so
    /// if it still runs that one.
    ///
    /// # Errors
    /// What the pipe reports: that the worker has gone, or does not read.
    pub fn limit(&self, thread: usize, request: u32) -> io::Result<()> {
        order(&self.limits, thread, request)
    }
}

/// `None` if the thread has to be asked again.
async fn answer(answers: &mut Receiver, number: u32) -> io::Result<Option<Vec<Frame>>> {
    let mut text = Vec::new();
    loop {
        if answers.read_buf(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if text.ends_with(b"\n") {
            match parse(&text, number) {
                Answer::Whole(frames) => return Ok(Some(frames)),
                Answer::Again => return Ok(None),
                Answer::Part => {}
            }
        }
        if text.len() > MAX_ANSWER {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Puts an order into a pipe. Never waits.
fn order(pipe: &Sender, thread: usize, number: u32) -> io::Result<()> {
    let thread = u16::try_from(thread).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bytes = Order { thread, number }.to_bytes();
    // Whole or not at all: it is shorter than PIPE_BUF.
    rustix::io::write(pipe, &bytes)?;
    Ok(())
}
