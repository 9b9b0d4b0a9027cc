//! One request and where its answer comes from: what a connection and the pool
//! share.
//!
//! ```text
//! Waiting ──the pool seats it──▶ Seated ──the connection takes the end──▶ Over
//!    ▲──the worker died, once────┘ ├──the worker died after the head──▶ Cut
//!    └──no room, no worker─────────┴──the worker died──▶ Refused
//! ```
//!
//! Cancelled is apart from this: the connection has gone, and nobody takes the
//! answer.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use cgi::Params;
use flupd_channel::observed;
use flupd_channel::worker::Pump;
use tokio::time::Instant;

use super::line::{Line, Relayed};
use super::park;
use super::pool::Pool;
use super::refusal::Refusal;
use super::request::Request;
use super::seat::Seat;
use super::tally::Tally;
use super::wake::Wake;
use crate::observe::metrics::Ending;

/// How much error text may wait for the head, in bytes. What is past that is in
/// flupd's own log only.
const MAX_EARLY: usize = 64 * 1024;

/// Where the answer is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The request waits for an app thread.
    Waiting,
    /// It is staged at an app thread; its answer comes in that thread's ring.
    Seated(Rc<Seat>),
    /// flupd answers by itself.
    Refused(Refusal),
    /// flupd has answered by itself; the answer's end is not sent yet.
    Told(Refusal),
    /// The answer has begun, and the rest will never come.
    Cut,
    /// The answer has been taken whole.
    Over,
    /// Its end was sent on behalf of the connection, which does not know yet.
    Delivered {
        /// Whether the answer is complete.
        whole: bool,
    },
}

/// What [`Exchange::pump`] has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// What there was.
    Part,
    /// The answer to its end: the next request is in front.
    End,
}

thread_local! {
    /// The next one. Many requests arrive at the same time, as far as the clock knows.
    static TICKETS: Cell<u64> = const { Cell::new(0) };
}

/// One request.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The request. Of one that was refused before it was whole there are only its
    /// params, if they are known.
    pub(super) request: Option<Request>,
    /// Since when it waits for an app thread, or did.
    waits_since: Cell<Instant>,
    /// How often a worker died with it inside.
    pub(super) attempts: Cell<u8>,
    place: RefCell<Place>,
    started: Cell<bool>,
    /// Whether as much of the answer was taken as its head has promised.
    fulfilled: Cell<bool>,
    /// The answer's, once its head is there; else 0.
    status: Cell<u16>,
    cancelled: Cell<bool>,
    /// Error text that came before the head: some web servers take none there.
    early: RefCell<Vec<u8>>,
    connection: Rc<Wake>,
    /// Who runs it; `None` for one that reached no app.
    pool: RefCell<Option<Rc<Pool>>>,
    /// The id of the request on its connection, and where its answer goes out.
    way: Option<(u16, Rc<RefCell<Line>>)>,
    /// What will be told of it at its end.
    tally: Option<Box<Tally>>,
    /// Since when it is whole.
    arrived: Instant,
    /// Larger than that of any request that was whole before.
    ticket: u64,
    /// When its turn came at an app thread, the last if it had several.
    begun: Cell<Option<Instant>>,
    /// Whether the metrics know its end.
    settled: Cell<bool>,
    /// Whether it is our own.
    internal: bool,
    /// It was refused while its body comes, and the connection stays.
    unread: Cell<bool>,
}

impl Exchange {
    /// A request that waits for its answer; `connection` is notified when there
    /// is something to take.
    pub(super) fn new(
        request: Request,
        pool: Rc<Pool>,
        connection: Rc<Wake>,
        id: u16,
        line: Rc<RefCell<Line>>,
        tally: Option<Box<Tally>>,
    ) -> Rc<Self> {
        let way = Some((id, line));
        let pool = RefCell::new(Some(pool));
        Rc::new(Self { way, pool, tally, ..Self::at(Place::Waiting, Some(request), connection) })
    }

    /// A request of our own, for one app thread and no other. Nobody counts it.
    pub(super) fn internal(request: Request, asks: Rc<Wake>) -> Rc<Self> {
        Rc::new(Self { internal: true, ..Self::at(Place::Waiting, Some(request), asks) })
    }

    /// A request that is answered with a refusal, before it was whole.
    pub(super) fn refused(
        refusal: Refusal,
        params: Option<Params>,
        connection: Rc<Wake>,
    ) -> Rc<Self> {
        let request = params.map(Request::unfinished);
        Rc::new(Self::at(Place::Refused(refusal), request, connection))
    }

    fn at(place: Place, request: Option<Request>, connection: Rc<Wake>) -> Self {
        Self {
            request,
            waits_since: Cell::new(park::now()),
            attempts: Cell::new(0),
            place: RefCell::new(place),
            started: Cell::new(false),
            fulfilled: Cell::new(false),
            status: Cell::new(0),
            cancelled: Cell::new(false),
            early: RefCell::default(),
            connection,
            pool: RefCell::default(),
            way: None,
            tally: None,
            arrived: park::now(),
            ticket: TICKETS.replace(TICKETS.get() + 1),
            begun: Cell::new(None),
            settled: Cell::new(false),
            internal: false,
            unread: Cell::new(false),
        }
    }

    /// Whether it is our own, for one app thread and no other.
    pub(super) const fn is_internal(&self) -> bool {
        self.internal
    }

    /// The end of the answer waits for the end of the request: H2O 2.2 aborts, and
    /// HAProxy 2.6 hangs, when the answer ends on a connection that stays while they
    /// still send.
    pub(super) fn hold_end(&self) {
        self.unread.set(true);
    }

    /// Whether the end of the answer waits.
    pub(super) const fn is_held(&self) -> bool {
        self.unread.get()
    }

    /// Nothing more of the request comes, or nobody waits for it any more.
    pub(super) fn release_end(&self) {
        if self.unread.replace(false) {
            self.news();
        }
    }

    /// Who runs it; `None` for one that reached no app.
    pub(super) fn pool(&self) -> Option<Rc<Pool>> {
        self.pool.borrow().clone()
    }

    /// Another pool runs it.
    pub(super) fn set_pool(&self, pool: Rc<Pool>) {
        self.pool.replace(Some(pool));
    }

    /// What flupd answers, or has answered, by itself.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &*self.place.borrow() {
            Place::Refused(refusal) | Place::Told(refusal) => Some(refusal.clone()),
            _ => self.tally()?.refusal(),
        }
    }

    /// What will be told of it, if anybody tells.
    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// What the web server calls it, for the log.
    pub(super) fn id(&self) -> Option<String> {
        self.request.as_ref()?.id()
    }

    /// The trace that it belongs to, for the log.
    pub(super) fn trace(&self) -> Option<String> {
        Some(self.request.as_ref()?.trace()?.to_string())
    }

    /// Where the answer is.
    pub(super) fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    /// Since when it waits for an app thread, or did.
    pub(super) const fn waits_since(&self) -> Instant {
        self.waits_since.get()
    }

    /// It has lost its app thread and waits for another.
    pub(super) fn wait_from_now(&self) {
        self.waits_since.set(park::now());
    }

    /// The pool has moved it; the connection need not look yet.
    pub(super) fn put(&self, place: Place) {
        self.place.replace(place);
    }

    /// Answers with a refusal; cuts an answer that has begun.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.put(if self.started() { Place::Cut } else { Place::Refused(refusal) });
        self.news();
    }

    /// There is something to take.
    pub(super) fn news(&self) {
        self.connection.notify();
    }

    /// The connection has taken a part of the head, which has this status.
    pub(super) fn start(&self, status: u16) {
        self.started.set(true);
        self.status.set(status);
    }

    /// The connection has taken as much of the body as the head has promised.
    pub(super) fn fulfil(&self) {
        self.fulfilled.set(true);
    }

    /// Whether a web server that counts has all that it waits for.
    pub(super) const fn is_fulfilled(&self) -> bool {
        self.fulfilled.get()
    }

    /// Its turn has come at an app thread.
    pub(super) fn begin(&self, now: Instant) {
        self.begun.set(Some(now));
    }

    /// The end of an answer that the app has given.
    pub(super) const fn answered(&self) -> Ending {
        Ending::Answered((self.status.get() / 100) as u8)
    }

    /// How long it had waited for its turn, if that has come.
    pub(super) fn waited(&self) -> Option<Duration> {
        // Mostly it comes at once: to compare is cheaper than to subtract.
        let since = |turn: Instant| turn.saturating_duration_since(self.arrived);
        self.begun.get().map(|turn| if turn == self.arrived { Duration::ZERO } else { since(turn) })
    }

    /// Tells the metrics how it has ended, once. `false` if no app had it.
    pub(super) fn settle(&self, ending: Ending) -> bool {
        let pool = self.pool.borrow();
        let Some(pool) = &*pool else { return false };
        if !self.settled.replace(true) && observed::is_on() {
            let since = |then: Instant| park::now().saturating_duration_since(then);
            pool.metrics.ended(ending, since(self.arrived), self.waited());
            pool.compare(ending, self.arrived, since);
        }
        true
    }

    /// Larger than that of any request that was whole before.
    pub(super) const fn ticket(&self) -> u64 {
        self.ticket
    }

    /// When it was whole.
    pub(super) const fn arrived(&self) -> Instant {
        self.arrived
    }

    /// The status of the app's answer; 0 if there is none yet.
    pub(super) const fn status(&self) -> u16 {
        self.status.get()
    }

    /// Whether the client may have seen a part of the answer.
    pub(super) const fn started(&self) -> bool {
        self.started.get()
    }

    /// Keeps error text until the head is there.
    pub(super) fn hold_stderr(&self, text: &[u8]) {
        let mut early = self.early.borrow_mut();
        if early.len() + text.len() <= MAX_EARLY {
            early.extend_from_slice(text);
        }
    }

    /// The error text that was held.
    pub(super) fn held_stderr(&self) -> Vec<u8> {
        self.early.take()
    }

    /// Sends what has arrived of the answer at once, on behalf of the
    /// connection, and does `what` else the app asks for.
    ///
    /// # Errors
    /// What the socket reports, or that the client has gone or takes nothing.
    pub(super) fn pump(self: &Rc<Self>, what: Pump) -> io::Result<Pumped> {
        let Some((id, line)) = &self.way else { return Ok(Pumped::Part) };
        let whole = match line.borrow_mut().pump(*id, self, what)? {
            Relayed::Nothing | Relayed::Part => return Ok(Pumped::Part),
            relayed => relayed == Relayed::Whole,
        };
        self.put(Place::Delivered { whole });
        self.news();
        Ok(Pumped::End)
    }

    /// The client has gone or has aborted: nobody takes the answer any more.
    pub(super) fn cancel(&self) {
        self.cancelled.set(true);
    }

    /// Whether [`Exchange::cancel`] was called.
    pub(super) const fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Whether a second worker may have it (RFC 9110 section 9.2).
    pub(super) fn is_repeatable(&self) -> bool {
        self.request.as_ref().is_some_and(Request::is_repeatable)
    }

    /// `GET /path`, for the log.
    pub(super) fn describe(&self) -> String {
        let name = |r: &Request| format!("{} {}", r.method(), r.uri());
        self.request.as_ref().map(name).unwrap_or_default()
    }
}
