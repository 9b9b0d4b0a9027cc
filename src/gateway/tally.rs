//! What is noted of a request while it is served, for the access log and its span.
//! While nobody wants either, no request has a tally.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::BytesMut;
use flupd_channel::cost::Cost;
use flupd_channel::gateway::Payload;
use flupd_channel::times::{self, Times};
use tokio::time::Instant;

use super::park;
use super::refusal::Refusal;
use super::spans::SpanPlace;
use crate::observe::access::{self, Seated};

/// The longest head that is noted, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The notes of one request that has arrived whole.
#[derive(Debug)]
pub(super) struct Tally {
    /// When it had arrived.
    pub(super) whole: Instant,
    /// When an app thread was found for it last, and which.
    seated: Cell<Option<(Instant, Seated)>>,
    /// When the first byte of its answer was taken.
    first: Cell<Option<Instant>>,
    moments: Cell<Option<[Instant; 3]>>,
    /// Whether its cost is of interest.
    pub(super) costed: bool,
    /// Where its span belongs, if there will be one.
    pub(super) place: Option<SpanPlace>,
    cost: Cell<Option<Cost>>,
    head: RefCell<BytesMut>,
    body: Cell<u64>,
    /// What flupd has answered by itself.
    refusal: RefCell<Option<Refusal>>,
}

impl Tally {
    /// The request has arrived just now; `costed`: its cost is of interest.
    pub(super) fn new(costed: bool, place: Option<SpanPlace>) -> Self {
        Self {
            whole: park::now(),
            seated: Cell::default(),
            first: Cell::default(),
            moments: Cell::default(),
            costed,
            place,
            cost: Cell::default(),
            head: RefCell::default(),
            body: Cell::default(),
            refusal: RefCell::default(),
        }
    }

    /// An app thread was found.
    pub(super) fn sit(&self, seated: Seated) {
        self.seated.set(Some((park::now(), seated)));
    }

    /// When an app thread was found last, and which.
    pub(super) const fn seated(&self) -> Option<(Instant, Seated)> {
        self.seated.get()
    }

    /// A part of the answer's head goes out.
    pub(super) fn head(&self, text: Payload<'_>) {
        if self.first.get().is_none() {
            self.first.set(Some(park::now()));
        }
        let mut head = self.head.borrow_mut();
        if head.len() + text.len() <= MAX_HEAD {
            text.append_to(&mut head);
        }
    }

    /// A part of the answer's body goes out.
    pub(super) fn body(&self, length: usize) {
        self.body.set(self.body.get() + length as u64);
    }

    /// The worker tells its times.
    pub(super) fn times(&self, times: Times) {
        let (clock, now) = (times::now(), Instant::now());
        // It may have said anything: what can't be was just now, or at the start.
        let at = |moment: u64| {
            let ago = Duration::from_nanos(clock.saturating_sub(moment));
            now.checked_sub(ago).unwrap_or(self.whole).max(self.whole)
        };
        self.moments.set(Some([times.claimed, times.begun, times.ended].map(at)));
        self.cost.set(times.cost);
    }

    /// How long what took of a request whose first byte came at `begun`, and which took
    /// `whole`.
    pub(super) fn lasted(&self, begun: Instant, whole: Duration) -> access::Times {
        let seated = self.seated.get().map(|(at, _)| at.saturating_duration_since(self.whole));
        let first = self.first.get();
        let mut times = access::Times {
            whole,
            first_byte: first.map(|at| at.saturating_duration_since(begun)),
            receive: Some(self.whole.saturating_duration_since(begun)),
            queue: seated,
            gil: None,
            app: None,
        };
        if let Some([claimed, begun, over]) = self.moments.get() {
            times.queue = Some(claimed.saturating_duration_since(self.whole));
            times.gil = Some(begun.saturating_duration_since(claimed));
            times.app = Some(over.saturating_duration_since(begun));
        }
        times
    }

    /// What it has cost, as the worker says.
    pub(super) const fn cost(&self) -> Option<Cost> {
        self.cost.get()
    }

    /// flupd answers by itself.
    pub(super) fn refuse(&self, refusal: &Refusal) {
        self.refusal.replace(Some(refusal.clone()));
    }

    /// What flupd has answered by itself.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }

    /// The answer's head as far as it has gone out, and the bytes of its body.
    pub(super) fn answer(&self) -> (BytesMut, u64) {
        (self.head.borrow().clone(), self.body.get())
    }
}
