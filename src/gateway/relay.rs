//! Takes answers out of app threads' rings and puts them on a connection.

use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use flupd_channel::Outcome;
use flupd_channel::gateway::Reply;

use super::dialect::Dialect;
use super::exchange::{Exchange, Place};
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::refusal::Refusal;
use super::seat::Seat;
use super::stream::Stream;

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

/// Where answers go.
pub(super) struct Relay<'c> {
    pub(super) stream: &'c Stream,
    pub(super) dialect: &'c mut Dialect,
    pub(super) out: &'c mut BytesMut,
    pub(super) pool: &'c Pool,
    /// Whether the peer has not taken all of what was written before.
    pub(super) blocked: &'c mut bool,
    /// How much may wait for a slow peer, in bytes, while other requests wait
    /// for its app thread.
    pub(super) bound: usize,
}

/// How much is taken for one write. What a slow peer leaves of it is copied.
const WRITE: usize = 128 * 1024;

impl Relay<'_> {
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
                self.refuse(id, &refusal);
                Ok(Relayed::Whole)
            }
            Place::Cut => Ok(Relayed::Cut),
        }
    }

    fn refuse(&mut self, id: u16, refusal: &Refusal) {
        self.dialect.body(self.out, id, refusal.head().as_bytes());
        self.dialect.body(self.out, id, refusal.body().as_bytes());
        self.dialect.end(self.out, id);
    }

    fn take(&mut self, id: u16, exchange: &Rc<Exchange>, seat: &Rc<Seat>) -> io::Result<Relayed> {
        let bound = match (*self.blocked, self.pool.is_pressed(seat)) {
            (false, _) => WRITE,
            (true, true) => self.bound,
            (true, false) => {
                seat.blocked.set(true);
                return Ok(Relayed::Nothing);
            }
        };
        let port = seat.port();
        let mut replies = port.replies();
        let mut out = Outgoing::new(self.out);
        let is_fastcgi = self.dialect.is_fastcgi();
        let mut end = None;
        let broken = loop {
            if out.is_full() || out.len() >= bound {
                break None;
            }
            match replies.look() {
                Ok(None) => break None,
                Ok(Some(Reply::Head { text, last })) => {
                    exchange.start();
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
                Ok(Some(Reply::Body(part))) if is_fastcgi => out.stdout(id, part),
                Ok(Some(Reply::Body(part))) => out.plain(part),
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
        let taken = replies.taken();
        let written = out.write(self.stream).map(|all| *self.blocked |= !all);
        drop(port);
        seat.consume(taken);
        if let Some(error) = broken {
            self.pool.worker_broken(seat.worker, &error);
            return Ok(Relayed::Part);
        }
        let Some(end) = end else {
            written?;
            return Ok(if taken.is_empty() { Relayed::Nothing } else { Relayed::Part });
        };
        let answered = self.pool.answered(seat, exchange, end);
        written?;
        Ok(self.ended(id, exchange, end, answered))
    }

    fn ended(&mut self, id: u16, exchange: &Exchange, end: Outcome, answered: bool) -> Relayed {
        match end {
            // It goes on elsewhere, or is refused.
            _ if !answered => Relayed::Part,
            Outcome::Complete if exchange.started() => {
                self.dialect.forget(id);
                Relayed::Whole
            }
            _ if exchange.started() => Relayed::Cut,
            _ => {
                self.refuse(id, &Refusal::no_answer());
                Relayed::Whole
            }
        }
    }
}
