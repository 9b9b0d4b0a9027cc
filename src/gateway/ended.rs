//! A request that is over, as the access log and its span tell of it.

use std::time::SystemTime;

use cgi::{Params, ResponseHead};
use flupd_channel::gateway::Body;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::open::{Open, Stage};
use super::refusal::Refusal;
use super::request::Request;
use super::tally::Tally;
use crate::observe::access::{LogEntry, Outcome, Times};

/// What a client is said to have got that went away before the head: nginx has
/// made this number a custom.
const CLIENT_WENT: u16 = 499;

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

/// What is known of it.
#[derive(Debug)]
pub(super) struct Known<'k> {
    pub(super) entry: LogEntry<'k>,
    /// What flupd has answered by itself.
    pub(super) refusal: Option<&'k Refusal>,
    /// The request with its answer; of one that never was whole there is none.
    pub(super) exchange: Option<&'k Exchange>,
}

impl Ended<'_> {
    /// Tells what is known of this request, if that is anything.
    pub(super) fn tell(self, open: &Open, to: impl FnOnce(&Known<'_>)) {
        match &open.stage {
            Stage::Begun => {}
            Stage::Receiving(_, assembly) => {
                let mut entry = self.entry(Some(assembly.params()), open.begun);
                entry.bytes_in += assembly.received();
                to(&Known { entry, refusal: None, exchange: None });
            }
            Stage::Answering(exchange) => self.answered(exchange, open.begun, to),
        }
    }

    fn answered(self, exchange: &Exchange, begun: Instant, to: impl FnOnce(&Known<'_>)) {
        let request = exchange.request.as_ref();
        let mut entry = self.entry(request.map(|request| &request.params), begun);
        let length = |request: &Request| {
            request.body.length() + request.data.as_ref().map_or(0, Body::length)
        };
        entry.bytes_in += request.map_or(0, length);
        let pool = exchange.pool();
        entry.app = pool.as_ref().and_then(|pool| pool.name());
        let tally = exchange.tally();
        if let Some(tally) = tally {
            entry.times = tally.lasted(begun, entry.times.whole);
            entry.cost = tally.cost();
            entry.seat = tally.seated().map(|(_, seat)| seat);
            entry.attempts = exchange.attempts.get() + u8::from(entry.seat.is_some());
        }
        let (head, body) = tally.map(Tally::answer).unwrap_or_default();
        let parsed = ResponseHead::parse(&head).ok().flatten().map(|(head, _)| head);
        let refusal = exchange.refusal();
        if let Some(parsed) = &parsed {
            (entry.head, entry.status) = (Some(parsed), Some(parsed.status));
            (entry.head_bytes, entry.body_bytes) = (head.len() as u64, body);
        } else if let Some(refusal) = &refusal {
            (entry.status, entry.why) = (Some(refusal.status), Some(refusal.why.as_str()));
            entry.head_bytes = refusal.head().len() as u64;
            entry.body_bytes = refusal.body().len() as u64;
            if self.outcome == Outcome::Complete {
                entry.outcome = Outcome::Refused;
            }
        }
        to(&Known { entry, refusal: refusal.as_ref(), exchange: Some(exchange) });
    }

    /// What is known of any request.
    fn entry<'e>(&self, params: Option<&'e Params>, begun: Instant) -> LogEntry<'e>
    where
        Self: 'e,
    {
        let whole = Instant::now().saturating_duration_since(begun);
        LogEntry {
            params,
            head: None,
            status: (self.outcome == Outcome::Aborted).then_some(CLIENT_WENT),
            end: SystemTime::now(),
            cost: None,
            times: Times { whole, ..Times::default() },
            bytes_in: params.map_or(0, |params| params.bytes().len() as u64),
            head_bytes: 0,
            body_bytes: 0,
            app: None,
            seat: None,
            outcome: self.outcome,
            why: None,
            attempts: 0,
            peer: self.peer,
            kept: self.kept,
        }
    }
}
