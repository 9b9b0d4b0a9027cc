//! One app thread as the gateway sees it: its port, and the requests staged
//! there in order.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use flupd_channel::gateway::{Port, Replies, Reply, Taken};
use flupd_channel::probe::Probe;
use flupd_channel::{ChannelError, LogLevel, Outcome, Phase, observed};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::exchange::{Exchange, Place};
use super::park;
use super::recorder::Recorder;
use super::repeats::{Repeats, kind_of};
use super::request::Request;
use crate::observe::process::thread_cpu;

/// An app thread.
#[derive(Debug)]
pub(super) struct Seat {
    /// The number of its worker.
    pub(super) worker: u64,
    /// The worker's process id.
    pub(super) pid: u32,
    /// Which of its threads this is, counted from 0.
    thread: usize,
    /// Asks the worker where its threads are.
    probe: Option<Rc<Probe>>,
    /// How long the request in front has run, as far as the limits care; with its
    /// number.
    step: Cell<(u32, Step)>,
    /// The last requests of its worker; none in solo mode, where it would die with it.
    recorder: Option<Rc<RefCell<Recorder>>>,
    /// What the log calls its app, where there can be several.
    app: Option<Rc<str>>,
    /// What its app's bridge had to say.
    said: Rc<Repeats>,
    port: RefCell<Port>,
    staged: RefCell<VecDeque<Rc<Exchange>>>,
    /// Since when the request in front is in front.
    since: Cell<Option<Instant>>,
    /// How long the one before it has run.
    last: Cell<Duration>,
    /// Whether something was staged and the thread not woken yet.
    to_wake: Cell<bool>,
    /// Whether it takes requests.
    pub(super) open: Cell<bool>,
    /// Whether its thread has gone.
    pub(super) dead: Cell<bool>,
    /// Whether the client of the answer in front is slower than the app.
    pub(super) blocked: Cell<bool>,
    /// How many requests all seats of its worker have.
    load: Rc<Cell<usize>>,
}

/// What has been done about a request that runs for long: see
/// [`super::pool`]'s `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Quiet,
    Slow,
    Limited(Instant),
    Stuck,
}

impl Seat {
    /// A seat that takes no requests yet. The seats of a worker share `load`,
    /// `probe` and `recorder`, those of an app what was `said`.
    pub(super) fn new(
        (worker, pid, thread): (u64, u32, usize),
        (app, said): (Option<Rc<str>>, Rc<Repeats>),
        port: Port,
        load: Rc<Cell<usize>>,
        probe: Option<Rc<Probe>>,
        recorder: Option<Rc<RefCell<Recorder>>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            pid,
            thread,
            probe,
            step: Cell::new((0, Step::Quiet)),
            recorder,
            app,
            said,
            port: RefCell::new(port),
            staged: RefCell::default(),
            since: Cell::new(None),
            last: Cell::default(),
            to_wake: Cell::new(false),
            open: Cell::new(false),
            dead: Cell::new(false),
            blocked: Cell::new(false),
            load,
        })
    }

    /// How many requests it has, the running one included.
    pub(super) fn depth(&self) -> usize {
        self.staged.borrow().len()
    }

    /// How many requests its worker has.
    pub(super) fn load(&self) -> usize {
        self.load.get()
    }

    /// The request whose answer comes next.
    pub(super) fn front(&self) -> Option<Rc<Exchange>> {
        self.staged.borrow().front().cloned()
    }

    /// Whether this is the request in front.
    pub(super) fn serves(&self, exchange: &Rc<Exchange>) -> bool {
        self.staged.borrow().front().is_some_and(|front| Rc::ptr_eq(front, exchange))
    }

    /// How long the request in front has been there.
    pub(super) fn running_for(&self) -> Duration {
        self.since.get().map_or(Duration::ZERO, |since| park::now().duration_since(since))
    }

    /// How long the last request has run that has ended.
    pub(super) const fn last_ran(&self) -> Duration {
        self.last.get()
    }

    /// Since when the request in front is there.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since.get()
    }

    /// Which thread of its worker it is, counted from 0.
    pub(super) const fn thread(&self) -> usize {
        self.thread
    }

    /// What the log calls its app.
    pub(super) fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    /// Asks the worker where its threads are.
    pub(super) const fn probe(&self) -> Option<&Rc<Probe>> {
        self.probe.as_ref()
    }

    /// The number of the request in front.
    pub(super) fn number(&self) -> u32 {
        self.port.borrow().number()
    }

    /// What the worker does with the request in front.
    pub(super) fn phase(&self) -> Phase {
        self.port.borrow().phase()
    }

    /// What the request in front has cost so far: CPU time of its thread. `None` if
    /// it has not begun, or if that can't be read.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let begun = self.port.borrow().begun()?;
        let now = thread_cpu(self.pid, begun.tid)?;
        // Unless another has begun meanwhile.
        let same = self.port.borrow().begun() == Some(begun);
        same.then(|| now.saturating_sub(begun.cpu))
    }

    /// The requests that are staged behind the one in front.
    pub(super) fn behind(&self) -> Vec<Rc<Exchange>> {
        self.staged.borrow().iter().skip(1).map(Rc::clone).collect()
    }

    /// What has been done about the request in front.
    pub(super) fn step(&self) -> Step {
        match self.step.get() {
            (number, step) if number == self.number() => step,
            _ => Step::Quiet,
        }
    }

    /// This has been done about the request in front.
    pub(super) fn advance(&self, step: Step) {
        self.step.set((self.number(), step));
    }

    /// Stages a request behind those that are there; `true` if the thread has to
    /// be woken and nobody has said so before.
    ///
    /// # Errors
    /// What [`Port::stage`] reports; the request is not staged then.
    pub(super) fn stage(self: &Rc<Self>, exchange: Rc<Exchange>) -> io::Result<bool> {
        if let Some(request) = &exchange.request {
            let mut port = self.port.borrow_mut();
            port.timed = exchange.tally().is_some();
            port.costed = exchange.tally().is_some_and(|tally| tally.costed);
            let Request { role, params, body, data } = request;
            port.stage_as(*role, params, body, data.as_ref())?;
        }
        exchange.put(Place::Seated(Rc::clone(self)));
        let mut staged = self.staged.borrow_mut();
        if staged.is_empty() {
            let now = park::now();
            self.since.set(Some(now));
            exchange.begin(now);
        }
        staged.push_back(exchange);
        self.load.set(self.load.get() + 1);
        Ok(!self.to_wake.replace(true))
    }

    /// Wakes the thread if it sleeps.
    pub(super) fn wake(&self) {
        self.to_wake.set(false);
        self.port.borrow().wake();
    }

    /// Takes back the request that was staged last, unless the worker has begun
    /// it.
    pub(super) fn take_back(&self) -> Option<Rc<Exchange>> {
        let taken = self.port.borrow_mut().take_back();
        let exchange = taken.then(|| self.staged.borrow_mut().pop_back()).flatten()?;
        self.load.set(self.load.get() - 1);
        exchange.put(Place::Waiting);
        Some(exchange)
    }

    /// Whether the worker has not begun the request in front.
    pub(super) fn is_untouched(&self) -> bool {
        self.port.borrow().is_untouched()
    }

    /// The port, to look at what has arrived of the answer in front.
    pub(super) fn port(&self) -> Ref<'_, Port> {
        self.port.borrow()
    }

    /// Gives back what was taken of the answer in front. At its end the request
    /// leaves, and the next one is in front.
    pub(super) fn consume(&self, taken: Taken) {
        let mut port = self.port.borrow_mut();
        if !taken.ended() {
            return port.consume(taken);
        }
        let ran = self.running_for();
        let mut staged = self.staged.borrow_mut();
        let front = staged.pop_front();
        if let Some(front) = &front {
            port.note_ended(front.status(), ran);
        }
        port.consume(taken);
        if let (Some(front), Some(since)) = (front, self.since.get())
            && let Some(recorder) = &self.recorder
            && observed::is_on()
        {
            recorder.borrow_mut().add(&front, since, park::now());
        }
        self.blocked.set(false);
        self.load.set(self.load.get().saturating_sub(1));
        self.last.set(ran);
        self.since.set(staged.front().map(|next| {
            let now = park::now();
            next.begin(now);
            now
        }));
    }

    /// The client of this request has gone. If the app runs it, it shall know; if
    /// not, it shall not see it.
    pub(super) fn cancel(&self, exchange: &Rc<Exchange>) {
        let position = self.staged.borrow().iter().position(|staged| Rc::ptr_eq(staged, exchange));
        if let Some(position) = position {
            self.port.borrow().cancel(position);
        }
    }

    /// Takes and throws away what has arrived of an answer that nobody wants;
    /// `Some` at its end.
    ///
    /// # Errors
    /// [`ChannelError::Broken`] when the worker broke the channel protocol.
    pub(super) fn discard(&self, unwanted: &Exchange) -> Result<Option<Outcome>, ChannelError> {
        let port = self.port.borrow();
        let mut replies = port.replies();
        let mut end = None;
        while let Some(reply) = replies.look()? {
            match reply {
                Reply::Log(level, text) => self.log(unwanted, level, &text.to_text()),
                Reply::Stderr(text) => self.log_stderr(unwanted, &text.to_text()),
                Reply::End(outcome) => end = Some(outcome),
                Reply::Times(times) => unwanted.tally().iter().for_each(|tally| tally.times(times)),
                Reply::Head { .. } | Reply::Body { .. } => {}
            }
        }
        let taken = replies.taken();
        drop(port);
        self.consume(taken);
        Ok(end)
    }

    /// Whether the answer in front has arrived to its end.
    pub(super) fn has_end(&self) -> bool {
        let port = self.port.borrow();
        let mut replies: Replies<'_> = port.replies();
        while let Ok(Some(reply)) = replies.look() {
            if let Reply::End(_) = reply {
                return true;
            }
        }
        false
    }

    /// Whether anything of the answer in front has arrived.
    pub(super) fn has_news(&self) -> bool {
        !matches!(self.port.borrow().replies().look(), Ok(None))
    }

    /// All requests, in order; the seat has none after this.
    pub(super) fn abandon(&self) -> VecDeque<Rc<Exchange>> {
        self.since.set(None);
        let all = self.staged.take();
        self.load.set(self.load.get().saturating_sub(all.len()));
        all
    }

    /// Tells the thread to leave when it has done what is staged.
    pub(super) fn close(&self) {
        self.port.borrow().close();
    }

    /// Logs what the app's bridge has to say about a request, unless it has said the
    /// same of many others just now.
    pub(super) fn log(&self, exchange: &Exchange, level: LogLevel, text: &str) {
        if !self.said.admit(kind_of(text), text, self.app()) {
            return;
        }
        let (app, worker) = (self.app.as_deref(), self.worker);
        let (request, id, trace_id) = (exchange.describe(), exchange.id(), exchange.trace());
        // Indented, so that no line of an app's text can pass for one of ours.
        let what = text.trim_end().replace('\n', "\n    ");
        match level {
            LogLevel::Error => error!(app, worker, request, id, trace_id, %what, "app error"),
            LogLevel::Warn => warn!(app, worker, request, id, trace_id, %what, "app warning"),
            LogLevel::Info => info!(app, worker, request, id, trace_id, %what, "app notice"),
        }
    }

    /// Logs what the app wrote to `wsgi.errors`.
    pub(super) fn log_stderr(&self, exchange: &Exchange, text: &str) {
        let (app, worker) = (self.app.as_deref(), self.worker);
        let (request, id) = (exchange.describe(), exchange.id());
        for line in text.lines() {
            warn!(app, worker, request, id, line, "wsgi.errors");
        }
    }
}
