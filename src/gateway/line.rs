//! Takes answers out of app threads' rings and puts them on a connection.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use flupd_channel::gateway::{Payload, Reply};
use flupd_channel::worker::Pump;
use flupd_channel::{Outcome, observed};
use tokio::time::Instant;
use tracing::warn;

use super::dialect::Dialect;
use super::entry::Entry;
use super::exchange::{Exchange, Place};
use super::outgoing::Outgoing;
use super::park;
use super::refusal::Refusal;
use super::repeats::Repeats;
use super::seat::Seat;
use super::shared::Shared;
use super::stream::Stream;
use crate::observe::metrics::{Ending, Metrics};

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relayed {
    /// Nothing was there.
    Nothing,
    /// A part was taken; there may be more.
    Part,
    /// The answer is complete.
    Whole,
    /// The answer ends here although it is not complete.
    Cut,
}

/// The sending side of a connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: Rc<Stream>,
    pub(super) dialect: Dialect,
    /// Encoded bytes that the socket has not taken.
    pub(super) out: BytesMut,
    /// Since when the socket has not taken all that was to be written.
    blocked: Option<Instant>,
    /// When it last took something.
    pub(super) last_write: Instant,
    /// How much may wait for a slow peer, in bytes, while other requests wait
    /// for its app thread.
    bound: usize,
    /// How long the peer may take nothing.
    patience: Duration,
    /// How much is offered to the socket at once.
    window: usize,
    metrics: Arc<Metrics>,
    /// What was refused at its listener.
    refused: Rc<Repeats>,
}

/// How much is taken for one write, at the most and at the least. What a slow
/// peer leaves of it has to be copied, so as much is offered as it took last.
const WRITE: usize = 256 * 1024;
const LEAST: usize = 16 * 1024;

/// A peer that has not taken all for so long shall not hold an app thread for
/// which others wait.
const SLOW: Duration = Duration::from_millis(50);

impl Line {
    /// A line on which nothing has gone out.
    pub(super) fn new(stream: Rc<Stream>, entry: &Entry, shared: &Shared) -> Self {
        Self {
            stream,
            dialect: Dialect::new(entry, &shared.limits),
            out: BytesMut::new(),
            blocked: None,
            last_write: park::now(),
            bound: shared.limits.response_memory,
            patience: shared.timeouts.write,
            window: WRITE,
            metrics: Arc::clone(&shared.metrics),
            refused: Rc::clone(&entry.rejected),
        }
    }

    /// Takes what has arrived of one answer.
    ///
    /// # Errors
    /// What the socket reports; the peer has gone then.
    pub(super) fn relay(&mut self, id: u16, exchange: &Rc<Exchange>) -> io::Result<Relayed> {
        match exchange.place() {
            Place::Waiting | Place::Over => Ok(Relayed::Nothing),
            Place::Seated(seat) if seat.serves(exchange) => self.take(id, exchange, &seat),
            Place::Seated(_) => Ok(Relayed::Nothing),
            Place::Refused(refusal) => {
                self.refuse(id, exchange, &refusal);
                exchange.put(Place::Told(refusal));
                self.relay(id, exchange)
            }
            Place::Told(_) if exchange.is_held() => Ok(Relayed::Nothing),
            Place::Told(_) => {
                self.dialect.end(&mut self.out, id);
                Ok(Relayed::Whole)
            }
            Place::Cut => {
                exchange.settle(Ending::Cut);
                Ok(Relayed::Cut)
            }
            Place::Delivered { whole: false } => Ok(Relayed::Cut),
            Place::Delivered { whole: true } => Ok(Relayed::Whole),
        }
    }

    /// Sends what has arrived of an answer whose app runs on this very thread; for
    /// [`Pump::Room`] until some of it is sent.
    ///
    /// # Errors
    /// What the socket reports; `TimedOut` when the peer takes nothing, and
    /// `BrokenPipe` when [`Pump::Look`] finds that it has gone.
    pub(super) fn pump(
        &mut self,
        id: u16,
        exchange: &Rc<Exchange>,
        what: Pump,
    ) -> io::Result<Relayed> {
        if what == Pump::Look && self.stream.is_hung_up() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            let relayed = self.relay(id, exchange)?;
            self.write()?;
            if what != Pump::Room || relayed != Relayed::Nothing {
                return Ok(relayed);
            }
            self.stream.wait_writable(self.patience)?;
        }
    }

    /// Writes what waits, as far as the socket takes it; `true` when all is
    /// written.
    ///
    /// # Errors
    /// What the socket reports; the peer has gone then.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        if !self.out.is_empty() {
            let written = self.stream.try_write(&self.out)?;
            self.out.advance(written);
            if written > 0 {
                self.last_write = park::now();
            }
        }
        let all = self.out.is_empty();
        if all {
            self.out.clear();
            self.blocked = None;
        } else {
            self.blocked.get_or_insert_with(Instant::now);
        }
        Ok(all)
    }

    /// Answers all but the end.
    fn refuse(&mut self, id: u16, exchange: &Exchange, refusal: &Refusal) {
        let class = u8::try_from(refusal.status / 100).unwrap_or_default();
        let (head, body) = (refusal.head(), refusal.body());
        match exchange.pool().filter(|_| exchange.settle(Ending::Answered(class))) {
            Some(pool) => {
                pool.metrics.refused.count(refusal.reason);
                pool.metrics.sent.add((head.len() + body.len()) as u64);
            }
            None => self.rejected(exchange, refusal),
        }
        if let Some(tally) = exchange.tally() {
            tally.refuse(refusal);
        }
        self.dialect.body(&mut self.out, id, head.as_bytes());
        if let Some(text) = &refusal.told {
            self.dialect.stderr(&mut self.out, id, text.as_bytes());
        }
        self.dialect.body(&mut self.out, id, body.as_bytes());
    }

    /// Counts and logs a request that reached no app.
    fn rejected(&self, exchange: &Exchange, refusal: &Refusal) {
        let Refusal { status, reason, ref why, .. } = *refusal;
        self.metrics.rejected.count(reason);
        if self.refused.admit(reason as u64, why, None) {
            let request = exchange.request.is_some().then(|| exchange.describe());
            warn!(request, id = exchange.id(), why, status, "request refused");
        }
    }

    fn take(&mut self, id: u16, exchange: &Rc<Exchange>, seat: &Rc<Seat>) -> io::Result<Relayed> {
        let Some(pool) = exchange.pool() else { return Ok(Relayed::Nothing) };
        let bound = match self.blocked {
            None => self.window,
            // A copy costs: it is made for peers that are really slow.
            Some(since) if pool.is_pressed(seat) && since.elapsed() >= SLOW => self.bound,
            Some(_) => {
                seat.blocked.set(true);
                return Ok(Relayed::Nothing);
            }
        };
        let port = seat.port();
        let mut replies = port.replies();
        let mut out = Outgoing::new(&mut self.out);
        let is_fastcgi = self.dialect.is_fastcgi();
        let tally = exchange.tally();
        let (mut end, mut sent) = (None, 0);
        let broken = loop {
            if out.is_full() || out.len() >= bound {
                break None;
            }
            match replies.look() {
                Ok(None) => break None,
                Ok(Some(Reply::Head { text, last, whole })) => {
                    if whole {
                        exchange.fulfil();
                    }
                    if !exchange.started() {
                        exchange.start(status(text));
                    }
                    sent += text.len();
                    if let Some(tally) = tally {
                        tally.head(text);
                    }
                    if is_fastcgi {
                        out.stdout(id, text)
                    } else {
                        out.plain(text)
                    }
                    let held = if last { exchange.held_stderr() } else { Vec::new() };
                    if is_fastcgi && !held.is_empty() {
                        out.stderr(id, &held);
                    }
                }
                Ok(Some(Reply::Body { part, whole })) => {
                    if whole {
                        exchange.fulfil();
                    }
                    sent += part.len();
                    if let Some(tally) = tally {
                        tally.body(part.len());
                    }
                    if is_fastcgi { out.stdout(id, part) } else { out.plain(part) }
                }
                Ok(Some(Reply::Stderr(text))) => {
                    let text = text.to_text();
                    seat.log_stderr(exchange, &text);
                    if !exchange.started() {
                        exchange.hold_stderr(text.as_bytes());
                    } else if is_fastcgi {
                        out.stderr(id, text.as_bytes());
                    }
                }
                Ok(Some(Reply::Log(level, text))) => seat.log(exchange, level, &text.to_text()),
                Ok(Some(Reply::Times(times))) => tally.iter().for_each(|tally| tally.times(times)),
                Ok(Some(Reply::End(outcome))) => {
                    if outcome == Outcome::Complete && exchange.started() {
                        out.close_record();
                        if is_fastcgi {
                            out.end_request(id);
                        }
                    }
                    end = Some(outcome);
                }
                Err(error) => break Some(error),
            }
        };
        if observed::is_on() {
            pool.metrics.sent.add(sent as u64);
        }
        let taken = replies.taken();
        let written = out.write(&self.stream).map(|left| {
            if left.is_some() {
                self.blocked.get_or_insert_with(Instant::now);
            }
            self.window = match left {
                None => self.window.saturating_mul(2).min(WRITE),
                Some(written) => written.clamp(LEAST, WRITE),
            };
        });
        drop(port);
        seat.consume(taken);
        if let Some(error) = broken {
            pool.worker_broken(seat.worker, &error);
            return Ok(Relayed::Part);
        }
        let Some(end) = end else {
            written?;
            return Ok(if taken.is_empty() { Relayed::Nothing } else { Relayed::Part });
        };
        let answered = pool.answered(seat, exchange, end);
        written?;
        Ok(self.ended(id, exchange, end, answered))
    }

    fn ended(&mut self, id: u16, exchange: &Exchange, end: Outcome, answered: bool) -> Relayed {
        match end {
            // It goes on elsewhere, or is refused.
            _ if !answered => Relayed::Part,
            Outcome::Complete if exchange.started() => {
                exchange.settle(exchange.answered());
                self.dialect.forget(id);
                Relayed::Whole
            }
            _ if exchange.started() => {
                exchange.settle(Ending::Cut);
                Relayed::Cut
            }
            _ => {
                self.refuse(id, exchange, &Refusal::no_answer());
                self.dialect.end(&mut self.out, id);
                Relayed::Whole
            }
        }
    }
}

/// The status in a head, which begins with `Status: `; 0 if there is none.
fn status(head: Payload<'_>) -> u16 {
    let (_, status) = head.split_at(b"Status: ".len());
    match status.0[0].first() {
        Some(digits @ [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) => {
            digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        }
        _ => 0,
    }
}
