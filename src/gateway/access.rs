//! The gateway's side of the access log: lines are gathered, and sent to the
//! supervisor, which writes them, many at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use cgi::{Params, ResponseHead};
use flupd_channel::gateway::Body;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::exchange::{Exchange, Place};
use super::open::{Open, Stage};
use super::request::Request;
use super::tally::Tally;
use crate::control::PacketSocket;
use crate::observe::access::{Clock, Format, LogEntry, Outcome, Times};

/// How long a line may wait for others.
const DELAY: Duration = Duration::from_millis(100);

/// So many bytes are sent at once, and not waited for more.
const BATCH: usize = 32 * 1024;

/// How many full batches may wait for a supervisor that is slow. Lines that come
/// then are lost, and counted.
const WAITING: usize = 128;

/// How long the last lines may take to be sent.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client is said to have got that went away before the head: nginx has
/// made this number a custom.
const CLIENT_WENT: u16 = 499;

/// The access log.
#[derive(Debug)]
pub(super) struct AccessLog {
    format: Format,
    /// Whether a line tells what its request has cost.
    wants_cost: bool,
    clock: RefCell<Clock>,
    socket: PacketSocket,
    /// Each holds whole lines; only the last is not full.
    batches: RefCell<VecDeque<Vec<u8>>>,
    /// There is a first line.
    begun: Notify,
    /// There is a full batch.
    full: Notify,
    lost: Cell<u64>,
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended<'e> {
    /// What has become of its answer.
    pub(super) outcome: Outcome,
    /// The web server's end of the connection.
    pub(super) peer: &'e str,
    /// Whether the connection lives on.
    pub(super) kept: bool,
}

impl AccessLog {
    /// Sends lines over this socket. Needs a running local runtime.
    ///
    /// # Errors
    /// When the socket can't be watched.
    pub(super) fn new(format: Format, socket: OwnedFd) -> io::Result<Rc<Self>> {
        let log = Rc::new(Self {
            wants_cost: format.wants_cost(),
            format,
            clock: RefCell::default(),
            socket: PacketSocket::new(socket)?,
            batches: RefCell::default(),
            begun: Notify::new(),
            full: Notify::new(),
            lost: Cell::new(0),
        });
        tokio::task::spawn_local(Rc::clone(&log).send_forever());
        Ok(log)
    }

    /// Notes of a request that has arrived just now.
    pub(super) fn tally(&self) -> Box<Tally> {
        Box::new(Tally::new(self.wants_cost))
    }

    /// Writes the line of a request.
    pub(super) fn write(&self, open: &Open, ended: Ended<'_>) {
        let now = Instant::now();
        match &open.stage {
            // Nothing is known of it.
            Stage::Begun => {}
            Stage::Receiving(_, assembly) => {
                let mut entry = entry(Some(assembly.params()), open.begun, now, ended);
                entry.bytes_in += assembly.received();
                self.put(&entry);
            }
            Stage::Answering(exchange) => self.answered(exchange, open.begun, now, ended),
        }
    }

    fn answered(&self, exchange: &Exchange, begun: Instant, now: Instant, ended: Ended<'_>) {
        let request = exchange.request.as_ref();
        let mut entry = entry(request.map(|request| &request.params), begun, now, ended);
        let length = |request: &Request| {
            request.body.length() + request.data.as_ref().map_or(0, Body::length)
        };
        entry.bytes_in += request.map_or(0, length);
        let pool = exchange.pool();
        entry.app = pool.as_ref().and_then(|pool| pool.name());
        let tally = exchange.tally();
        if let Some(tally) = tally {
            let seated = tally.seated();
            entry.times.receive = Some(tally.whole.saturating_duration_since(begun));
            entry.times.queue = seated.map(|(at, _)| at.saturating_duration_since(tally.whole));
            if let Some([claimed, begun, over]) = tally.moments() {
                entry.times.queue = Some(claimed.saturating_duration_since(tally.whole));
                entry.times.gil = Some(begun.saturating_duration_since(claimed));
                entry.times.app = Some(over.saturating_duration_since(begun));
            }
            entry.cost = tally.cost();
            entry.times.first_byte = tally.first().map(|at| at.saturating_duration_since(begun));
            entry.seat = seated.map(|(_, seat)| seat);
            entry.attempts = exchange.attempts.get() + u8::from(seated.is_some());
        }
        let (head, body) = tally.map(Tally::answer).unwrap_or_default();
        let parsed = ResponseHead::parse(&head).ok().flatten().map(|(head, _)| head);
        let refusal = match exchange.place() {
            Place::Refused(refusal) | Place::Told(refusal) => Some(refusal),
            _ => tally.and_then(Tally::refusal),
        };
        if let Some(parsed) = &parsed {
            (entry.head, entry.status) = (Some(parsed), Some(parsed.status));
            (entry.head_bytes, entry.body_bytes) = (head.len() as u64, body);
        } else if let Some(refusal) = &refusal {
            (entry.status, entry.why) = (Some(refusal.status), Some(refusal.why.as_str()));
            entry.head_bytes = refusal.head().len() as u64;
            entry.body_bytes = refusal.body().len() as u64;
            if ended.outcome == Outcome::Complete {
                entry.outcome = Outcome::Refused;
            }
        }
        self.put(&entry);
    }

    fn put(&self, entry: &LogEntry<'_>) {
        let mut batches = self.batches.borrow_mut();
        if batches.len() >= WAITING {
            return self.lost.set(self.lost.get() + 1);
        }
        match batches.back_mut() {
            Some(batch) if batch.len() < BATCH => {
                self.format.write(entry, &mut self.clock.borrow_mut(), batch);
                if batch.len() >= BATCH {
                    self.full.notify_one();
                }
            }
            last => {
                if last.is_none() {
                    self.begun.notify_one();
                }
                let mut batch = Vec::with_capacity(BATCH + BATCH / 8);
                self.format.write(entry, &mut self.clock.borrow_mut(), &mut batch);
                batches.push_back(batch);
            }
        }
    }

    /// Sends what there is, some time after its first line or when a batch is
    /// full.
    async fn send_forever(self: Rc<Self>) {
        loop {
            self.begun.notified().await;
            // Either way there is something to send.
            let _ = timeout(DELAY, self.full.notified()).await;
            self.send().await;
        }
    }

    /// Sends all lines, waiting for the supervisor if it is slow.
    async fn send(&self) {
        while let Some(batch) = self.take() {
            if self.socket.send(&batch, &[]).await.is_err() {
                // The supervisor has gone, and so shall we.
                return;
            }
            let lost = self.lost.take();
            if lost > 0 {
                warn!(lost, "access log lines were lost: the log took them too slowly");
            }
        }
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.batches.borrow_mut().pop_front()
    }

    /// Sends what there is: no more lines come.
    pub(super) async fn finish(&self) {
        if timeout(FAREWELL, self.send()).await.is_err() {
            warn!("the last access log lines were lost: the log took them too slowly");
        }
    }
}

/// What is known of any request.
fn entry<'e>(
    params: Option<&'e Params>,
    begun: Instant,
    now: Instant,
    ended: Ended<'e>,
) -> LogEntry<'e> {
    LogEntry {
        params,
        head: None,
        status: (ended.outcome == Outcome::Aborted).then_some(CLIENT_WENT),
        end: SystemTime::now(),
        cost: None,
        times: Times { whole: now.saturating_duration_since(begun), ..Times::default() },
        bytes_in: params.map_or(0, |params| params.bytes().len() as u64),
        head_bytes: 0,
        body_bytes: 0,
        app: None,
        seat: None,
        outcome: ended.outcome,
        why: None,
        attempts: 0,
        peer: ended.peer,
        kept: ended.kept,
    }
}
