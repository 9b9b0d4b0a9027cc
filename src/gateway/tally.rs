//! What is noted of a request while it is served, for the access log. While that
//! is off, no request has a tally.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::BytesMut;
use flupd_channel::cost::Cost;
use flupd_channel::gateway::Payload;
use flupd_channel::times::{self, Times};
use tokio::time::Instant;

use super::park;
use super::refusal::Refusal;
use crate::observe::access::Seated;

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
    cost: Cell<Option<Cost>>,
    head: RefCell<BytesMut>,
    body: Cell<u64>,
    /// What flupd has answered by itself.
    refusal: RefCell<Option<Refusal>>,
}

impl Tally {
    /// The request has arrived just now; `costed`: its cost is of interest.
    pub(super) fn new(costed: bool) -> Self {
        Self {
            whole: park::now(),
            seated: Cell::default(),
            first: Cell::default(),
            moments: Cell::default(),
            costed,
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

    /// What it has cost, as the worker says.
    pub(super) const fn cost(&self) -> Option<Cost> {
        self.cost.get()
    }

    /// When the request was claimed by a thread, begun by the app, and over, as the
    /// worker says.
    pub(super) const fn moments(&self) -> Option<[Instant; 3]> {
        self.moments.get()
    }

    /// flupd answers by itself.
    pub(super) fn refuse(&self, refusal: &Refusal) {
        self.refusal.replace(Some(refusal.clone()));
    }

    /// What flupd has answered by itself.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }

    /// When the first byte of the answer went out.
    pub(super) const fn first(&self) -> Option<Instant> {
        self.first.get()
    }

    /// The answer's head as far as it has gone out, and the bytes of its body.
    pub(super) fn answer(&self) -> (BytesMut, u64) {
        (self.head.borrow().clone(), self.body.get())
    }
}
