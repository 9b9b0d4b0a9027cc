//! The worker's end of a port: blocking, one per app thread.
//!
//! Every call here may wait for the gateway, so it is made without the
//! interpreter attached.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

pub use crate::beside::{Running, Stopper, on_cancel_here};
use crate::body::Bodies;
pub use crate::body::SharedBody;
use crate::claimed::Claimed;
pub use crate::claimed::{Body, Request};
use crate::cost::Cost;
use crate::frame::{HEADER, Kind, MAX_REPLY, MORE, WHOLE};
use crate::futex::Slept;
use crate::layout::{self, SLOTS, ThreadHead, WorkerHead};
use crate::memory::Mapping;
use crate::observed;
pub use crate::request::{EncodedParams, Pair};
use crate::ring::Writer;
use crate::slot::{COSTED, TIMED};
use crate::times::{self, Times};
use crate::{ChannelError, LogLevel, Outcome};

/// How long a thread sleeps before it looks whether the gateway still lives. A
/// gateway that goes in order says so at once.
const NAP: Duration = Duration::from_secs(1);

/// How long an answer may wait for the next one, so that both wake the gateway
/// once. It only waits while another request is staged; the gateway, which knows
/// that, looks by itself should that request turn out to be long.
const COALESCE: Duration = Duration::from_micros(50);

/// A part of a body is not split smaller than this.
const LEAST: usize = 4 * 1024;

/// The longest log text, in bytes.
const MAX_LOG: usize = 60 * 1024;

/// What [`Port::receive`] has to say.
#[derive(Debug)]
pub enum Received {
    /// The next request.
    Request(Request),
    /// A signal handler may want to run in this thread; ask again after.
    Interrupted,
    /// No more requests come.
    Closed,
}

/// What a gateway on the same thread has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pump {
    /// See whether the client is still there.
    Look,
    /// Send what it can without waiting.
    Flush,
    /// Make room in the ring, waiting for the client if it must.
    Room,
}

/// All ports of a worker.
///
/// # Errors
/// `InvalidData` when the descriptors are not what [`crate::create`] makes;
/// otherwise what the operating system reports.
pub fn open(mut fds: Vec<OwnedFd>) -> io::Result<Vec<Port>> {
    if fds.len() < 3 || fds.len() > 2 + layout::MAX_THREADS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a worker's descriptors are missing",
        ));
    }
    let sockets = fds.split_off(2);
    let (bell, memory) = (fds.pop(), fds.pop());
    let (Some(bell), Some(memory)) = (bell, memory) else { return Ok(Vec::new()) };
    let memory = Arc::new(Mapping::new(memory, layout::length(sockets.len()))?);
    let bell = Arc::new(bell);
    let bodies = Arc::<Mutex<Bodies>>::default();
    Ok(sockets
        .into_iter()
        .enumerate()
        .map(|(thread, socket)| Port {
            memory: Arc::clone(&memory),
            bell: Arc::clone(&bell),
            stopped: Arc::default(),
            socket,
            thread,
            fds: VecDeque::new(),
            bodies: Arc::clone(&bodies),
            slot: 0,
            ring: Writer::new(thread),
            fresh: false,
            looked: Instant::now(),
            unrung: None,
            pump: None,
            times: None,
            cost: None,
            claimed: None,
        })
        .collect())
}

/// An app thread's port to the gateway.
#[derive(Debug)]
pub struct Port {
    pub(crate) memory: Arc<Mapping>,
    bell: Arc<OwnedFd>,
    pub(crate) stopped: Arc<AtomicBool>,
    /// Carries descriptors, and says by its end that the gateway has gone.
    socket: OwnedFd,
    pub(crate) thread: usize,
    fds: VecDeque<OwnedFd>,
    /// Where large bodies are, the same for all ports.
    bodies: Arc<Mutex<Bodies>>,
    /// Where the next request will be, or where the running one is.
    pub(crate) slot: usize,
    ring: Writer,
    /// Whether nothing of the current answer is in the ring yet.
    fresh: bool,
    /// When it was last asked whether the gateway lives.
    looked: Instant,
    /// Since when an answer is ready for which the gateway was not woken.
    unrung: Option<Instant>,
    /// How a gateway on this thread does its work.
    pump: Option<fn(Pump)>,
    /// Of the running request, if the gateway wants to know.
    times: Option<Times>,
    /// What its thread had cost before, if the gateway wants to know.
    cost: Option<Cost>,
    /// When the running request was claimed, if that was without the interpreter.
    claimed: Option<Instant>,
}

impl Port {
    /// Waits for the next request.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway sent something incomprehensible.
    pub fn receive(&mut self) -> Result<Received, ChannelError> {
        self.receive_into(EncodedParams::default())
    }

    /// As [`Port::receive`], into the memory of `params` that have been served.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway sent something incomprehensible.
    pub fn receive_into(&mut self, mut params: EncodedParams) -> Result<Received, ChannelError> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(Received::Closed);
            }
            if let Some(request) = self.claim(&mut params, true)? {
                return Ok(Received::Request(request));
            }
            let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
            if head.closed.0.load(crate::sync::Ordering::Acquire) != 0 {
                return Ok(Received::Closed);
            }
            if self.unrung.is_some() {
                self.ring();
                continue;
            }
            head.idle.0.announce();
            let news = head.slots[self.slot].is_waiting()
                || head.closed.0.load(crate::sync::Ordering::Acquire) != 0
                || self.stopped.load(Ordering::Relaxed);
            let slept = if news { Slept::Woken } else { head.idle.0.sleep(NAP) };
            head.idle.0.retract();
            match slept {
                Slept::Woken => {}
                Slept::Interrupted => return Ok(Received::Interrupted),
                Slept::TimedOut if self.gateway_has_gone() => return Ok(Received::Closed),
                // A signal may have come just before the sleep.
                Slept::TimedOut => return Ok(Received::Interrupted),
            }
        }
    }

    /// The next request if one is staged already, into the memory of `params`
    /// that have been served. Does not wait, and may be called with the
    /// interpreter attached.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway sent something incomprehensible.
    pub fn try_receive_into(
        &mut self,
        params: &mut EncodedParams,
    ) -> Result<Option<Request>, ChannelError> {
        // A gateway on the same thread looks before the app is attached.
        let detached = self.pump.is_some();
        self.claim(params, detached)
    }

    fn claim(
        &mut self,
        params: &mut EncodedParams,
        detached: bool,
    ) -> Result<Option<Request>, ChannelError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
        let Some(parts) = head.slots[self.slot].claim() else { return Ok(None) };
        self.fresh = true;
        self.times = (parts.place & TIMED != 0).then(Times::claimed);
        self.cost = (parts.place & COSTED != 0).then(Cost::so_far);
        self.claimed = (detached && observed::is_on()).then(Instant::now);
        let claimed = Claimed {
            memory: &self.memory,
            area: layout::area(self.thread, self.slot),
            parts,
            socket: &self.socket,
            fds: &mut self.fds,
            bodies: &self.bodies,
        };
        claimed.read(std::mem::take(params)).map(Some)
    }

    /// Whether [`Port::end`] would not have to wait.
    pub fn can_end(&mut self) -> bool {
        // A frame of times comes first, if at all; the room is what is behind one header.
        let times = if self.times.is_some() { times::MAX_LENGTH + HEADER } else { 0 };
        self.room_now().is_some_and(|room| room >= times)
    }

    /// The app begins with the request that was received last: its thread has
    /// the interpreter.
    pub fn app_begins(&mut self) {
        if let Some(times) = &mut self.times {
            times.begun = times::now();
        }
        if !observed::is_on() {
            return;
        }
        let waited = self.claimed.take().map_or(Duration::ZERO, |claimed| claimed.elapsed());
        let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
        head.waits.0.count(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The gateway runs on this very thread: nobody rings or sleeps, `pump` has
    /// it do its work.
    #[must_use]
    pub fn inline(mut self, pump: fn(Pump)) -> Self {
        self.pump = Some(pump);
        self
    }

    /// Whether the client has gone, or the gateway, so that nobody needs the
    /// rest. Does not wait.
    pub fn cancelled(&mut self) -> bool {
        if self.is_cancelled() {
            return true;
        }
        // An app that never ends must not outlive its gateway. That one is asked
        // by a system call, so not each time.
        if self.looked.elapsed() < NAP {
            return false;
        }
        self.looked = Instant::now();
        self.gateway_has_gone()
    }

    /// As [`Port::cancelled`]. A gateway on this very thread is made to look.
    pub fn look(&mut self) -> bool {
        if let Some(pump) = self.pump {
            pump(Pump::Look);
        }
        self.cancelled()
    }

    /// Whether the gateway has said that nobody waits for the answer.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
        head.slots[self.slot].is_cancelled()
    }

    /// Puts the CGI response head, its blank line included. `whole`: it promises no body.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the gateway has gone.
    pub fn head(&mut self, mut head: &[u8], whole: bool) -> Result<(), ChannelError> {
        while head.len() > LEAST {
            let (part, rest) = head.split_at(LEAST);
            self.put(Kind::Head, MORE, part)?;
            head = rest;
        }
        self.put(Kind::Head, if whole { WHOLE } else { 0 }, head)
    }

    /// Puts a part of the body. `whole`: it has as many bytes now as the head has
    /// promised. Waits while the gateway can't take it.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the gateway has gone.
    pub fn body(&mut self, bytes: &[u8], whole: bool) -> Result<(), ChannelError> {
        self.stream(Kind::Body, if whole { WHOLE } else { 0 }, bytes)
    }

    /// Puts text for the web server's error log. Whole lines.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the gateway has gone.
    pub fn stderr(&mut self, text: &[u8]) -> Result<(), ChannelError> {
        self.stream(Kind::Stderr, 0, text)
    }

    /// Puts a line for flupd's log; a text over 60 KiB is cut.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the gateway has gone.
    pub fn log(&mut self, level: LogLevel, text: &str) -> Result<(), ChannelError> {
        let cut = text.floor_char_boundary(MAX_LOG);
        self.put(Kind::Log, level as u8, &text.as_bytes()[..cut])
    }

    /// Ends the answer; the request's slot belongs to the gateway again.
    ///
    /// A sleeping gateway is not woken for each of several short requests in a
    /// row: see `COALESCE`.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] when the gateway has gone.
    pub fn end(&mut self, outcome: Outcome) -> Result<(), ChannelError> {
        if let Some(times) = self.times.take() {
            let cost = self.cost.take().map(|before| Cost::so_far().since(before));
            let times = Times { ended: times::now(), cost, ..times };
            let mut bytes = [0; times::MAX_LENGTH];
            self.put(Kind::Times, 0, times.encode(&mut bytes))?;
        }
        self.put(Kind::End, outcome as u8, &[])?;
        self.slot = (self.slot + 1) % SLOTS;
        self.publish();
        let more =
            self.memory.at::<ThreadHead>(layout::thread(self.thread)).slots[self.slot].is_waiting();
        if !more || self.unrung.get_or_insert_with(Instant::now).elapsed() >= COALESCE {
            self.ring();
        }
        Ok(())
    }

    /// Shows the gateway what was put so far.
    pub fn flush(&mut self) {
        self.publish();
        match self.pump {
            Some(pump) => pump(Pump::Flush),
            None => self.ring(),
        }
    }

    fn publish(&self) {
        self.ring.publish(self.memory.at::<ThreadHead>(layout::thread(self.thread)));
        let (word, bit) = (self.thread / 64, self.thread % 64);
        let done = &self.memory.at::<WorkerHead>(0).done.0;
        done[word].fetch_or(1 << bit, crate::sync::Ordering::Release);
    }

    /// Wakes the gateway if it sleeps.
    fn ring(&mut self) {
        self.unrung = None;
        if self.pump.is_some() {
            return;
        }
        if self.memory.at::<WorkerHead>(0).gateway.0.rouse() {
            // The counter can't overflow in this universe, and nothing else fails.
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Puts bytes in as many frames as it takes; the last one has this detail.
    fn stream(&mut self, kind: Kind, detail: u8, mut bytes: &[u8]) -> Result<(), ChannelError> {
        while !bytes.is_empty() {
            let room = self.room(bytes.len().min(LEAST))?;
            let (part, rest) = bytes.split_at(bytes.len().min(room).min(MAX_REPLY));
            self.put(kind, if rest.is_empty() { detail } else { 0 }, part)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Puts one frame, waiting for room.
    fn put(&mut self, kind: Kind, detail: u8, payload: &[u8]) -> Result<(), ChannelError> {
        self.begin(0);
        self.room(payload.len())?;
        self.ring.frame(&self.memory, kind, detail, payload);
        Ok(())
    }

    /// Waits until a payload of `least` bytes fits; how long a one does.
    fn room(&mut self, least: usize) -> Result<usize, ChannelError> {
        // The padding of the payload itself has to fit, too.
        let least = least.next_multiple_of(8);
        loop {
            if let Some(room) = self.room_now().filter(|&room| room >= least) {
                return Ok(room);
            }
            if let Some(pump) = self.pump {
                self.publish();
                // For who looks on.
                let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
                head.blocked.0.announce();
                pump(Pump::Room);
                head.blocked.0.retract();
                continue;
            }
            self.flush();
            let memory = Arc::clone(&self.memory);
            let head = memory.at::<ThreadHead>(layout::thread(self.thread));
            head.blocked.0.announce();
            let slept = if self.ring.room(head).is_some_and(|room| room >= least) {
                Slept::Woken
            } else {
                head.blocked.0.sleep(NAP)
            };
            head.blocked.0.retract();
            if slept == Slept::TimedOut && self.gateway_has_gone() {
                return Err(ChannelError::Closed);
            }
        }
    }

    /// How long a payload fits without waiting, in bytes.
    fn room_now(&mut self) -> Option<usize> {
        let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
        self.ring.room(head).map(|room| room & !7)
    }

    /// Whether a head and a body of this many bytes in all, and the end, can be
    /// put without waiting.
    pub fn has_room(&mut self, bytes: usize) -> bool {
        // Headers and padding of the frames, and what is skipped at the ring's end.
        const BESIDE: usize = 1024;
        let bytes = bytes.saturating_add(BESIDE);
        self.begin(bytes);
        self.room_now().is_some_and(|room| room >= bytes)
    }

    /// Before the first frame of an answer, of which `bytes` are known to come.
    fn begin(&mut self, bytes: usize) {
        if std::mem::take(&mut self.fresh) {
            let head = self.memory.at::<ThreadHead>(layout::thread(self.thread));
            self.ring.rewind(&self.memory, head, bytes as u64);
        }
    }

    fn gateway_has_gone(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&now)), Ok(1..))
            && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

/// The end of this is the sign that the gateway has gone.
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
