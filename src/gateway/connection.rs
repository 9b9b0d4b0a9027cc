//! One connection of a web server: reads records, assembles requests, writes
//! answers.
//!
//! It never waits for one thing only: while a body arrives, answers of other
//! requests go out, and the client's end is seen while the app works.

mod patience;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::alarm::Alarm;
use super::dialect::Event;
use super::ended::Ended;
use super::entry::Entry;
use super::exchange::Exchange;
use super::heir::pass_on;
use super::line::{Line, Relayed};
use super::linger::linger;
use super::open::{Handled, Open, Stage, handle};
use super::park;
use super::shared::Shared;
use super::solo;
use super::spool::Extra;
use super::stream::Stream;
use super::wake::Wake;
use crate::observe::access::Outcome;

/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;

/// A body of which so much is to come in one run is received in place.
const DIRECT: usize = 4 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// All was said: what the peer still sends is read away, so that it does
    /// not lose the answer to a reset.
    Linger,
    /// Nobody would hear more: the peer has gone, or has had its answer to all
    /// that it said.
    Drop,
    /// Another gateway goes on with it.
    PassOn,
}

/// What a wait has ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// An answer has a new part, the socket takes more, or flupd is stopping.
    Woken,
    /// Something has arrived.
    Readable,
    /// The peer has closed its socket wholly.
    HungUp,
    Alarm,
}

/// One connection.
pub(super) struct Connection {
    stream: Rc<Stream>,
    line: Rc<RefCell<Line>>,
    entry: Rc<Entry>,
    shared: Rc<Shared>,
    peer: String,
    open: Vec<Open>,
    /// Whose answer is looked at next.
    turn: usize,
    /// An answer has a new part.
    wake: Rc<Wake>,
    /// The peer sends no more; it may still read.
    input_ended: bool,
    /// The connection ends with the requests that are open.
    closing: bool,
    /// An answer was cut: no web server may take it for complete.
    cut: bool,
    /// The request that began last has arrived whole: nothing more is to come.
    whole: bool,
    served: bool,
    /// Whether no request is open, as the metrics know it.
    idle: bool,
    last_read: Instant,
    alarm: Alarm,
}

impl Connection {
    /// A connection just accepted; `peer` names it in the log.
    pub(super) fn new(stream: Stream, entry: Rc<Entry>, peer: String, shared: Rc<Shared>) -> Self {
        let now = park::now();
        let wake = shared.stopping.watched();
        let stream = Rc::new(stream);
        let line = Line::new(Rc::clone(&stream), &entry, &shared);
        Self {
            line: Rc::new(RefCell::new(line)),
            alarm: Alarm::at(now + shared.timeouts.read),
            stream,
            entry,
            shared,
            peer,
            open: Vec::new(),
            turn: 0,
            wake,
            input_ended: false,
            closing: false,
            cut: false,
            whole: false,
            served: false,
            idle: false,
            last_read: now,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(&mut self) {
        let close = match self.serve().await {
            Ok(close) => close,
            Err(error) => {
                debug!(peer = self.peer, %error, "connection lost");
                Close::Drop
            }
        };
        self.shared.metrics.rests(&mut self.idle, false);
        for open in std::mem::take(&mut self.open) {
            self.give_up(&open, false);
        }
        match close {
            Close::Linger => linger(&self.stream).await,
            Close::PassOn => pass_on(&self.stream, &self.entry, &self.shared).await,
            Close::Drop => {}
        }
    }

    /// Nobody waits for the rest of this answer, if there is one.
    fn give_up(&self, open: &Open, kept: bool) {
        let outcome = if self.has_all(open) { Outcome::Complete } else { Outcome::Aborted };
        self.note(open, outcome, kept);
        open.cancel();
    }

    /// Whether all of this answer is written that its head has promised, although the
    /// app goes on. A client that counts the bytes does not wait for more: it goes, and
    /// so does the web server, but nothing was given up.
    fn has_all(&self, open: &Open) -> bool {
        match &open.stage {
            Stage::Answering(exchange) if self.line.borrow().out.is_empty() => {
                exchange.is_fulfilled() && exchange.settle(exchange.answered())
            }
            _ => false,
        }
    }

    /// Another gateway has served it until now.
    pub(super) const fn inherited(mut self) -> Self {
        self.served = true;
        self
    }

    async fn serve(&mut self) -> io::Result<Close> {
        // A new connection mostly has its request with it.
        let mut close = self.read().await?;
        while close.is_none() {
            self.answer_at_once();
            self.collect()?;
            self.write()?;
            close = match self.end() {
                Some(close) => Some(close),
                None => self.wait().await?,
            };
        }
        Ok(close.unwrap_or(Close::Drop))
    }

    /// Where the app runs on this very thread, it may answer the one open request now:
    /// see [`Pool::run_at_once`](super::pool::Pool::run_at_once).
    fn answer_at_once(&self) {
        if solo::is_here()
            && let [Open { stage: Stage::Answering(exchange), .. }] = self.open.as_slice()
            && let Some(pool) = exchange.pool()
        {
            pool.run_at_once(exchange);
        }
    }

    /// Reads what has arrived, and carries it out; `Some` when the connection is
    /// over.
    async fn read(&mut self) -> io::Result<Option<Close>> {
        let mut extra = Extra::default();
        if let Some((body, more)) = self.receive_body(&mut extra)? {
            self.last_read = park::now();
            if body == 0 {
                return Ok(self.input_end());
            }
            let understood = self.hear(extra.get(..more).unwrap_or_default()).await;
            return Ok((!understood).then_some(Close::Linger));
        }
        let spare = self.shared.buffers.borrow_mut().pop();
        let mut buffer = spare.unwrap_or_else(|| Vec::with_capacity(READ));
        let read = self.stream.try_read(&mut buffer);
        let understood = match read {
            Ok(Some(1..)) => {
                self.last_read = park::now();
                self.hear(&buffer).await
            }
            _ => true,
        };
        buffer.clear();
        self.shared.buffers.borrow_mut().push(buffer);
        if read? == Some(0) {
            return Ok(self.input_end());
        }
        Ok((!understood).then_some(Close::Linger))
    }

    /// The peer sends no more: it has gone, or only closed its sending half.
    fn input_end(&mut self) -> Option<Close> {
        self.input_ended = true;
        self.release();
        self.stream.is_hung_up().then_some(Close::Drop)
    }

    /// Answers do not wait any longer for the end of their requests.
    fn release(&self) {
        for open in &self.open {
            if let Stage::Answering(exchange) = &open.stage {
                exchange.release_end();
            }
        }
    }

    /// Receives the bytes that are sure to be body of a large request straight
    /// to where it is gathered, and what follows them to `extra`. `None` if there
    /// are none such; else how many of both.
    fn receive_body(&mut self, extra: &mut Extra) -> io::Result<Option<(usize, usize)>> {
        let (id, expected) = self.line.borrow().dialect.expected_body();
        if expected < DIRECT {
            return Ok(None);
        }
        let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return Ok(None) };
        let Stage::Receiving(_, assembly) = &mut open.stage else { return Ok(None) };
        let received = assembly.receive(&self.stream, expected, extra)?;
        if let Some((body, _)) = received {
            self.line.borrow_mut().dialect.received_body(body);
        }
        Ok(received)
    }

    /// Decodes all of `input`; `false` when the peer broke the protocol.
    async fn hear(&mut self, mut input: &[u8]) -> bool {
        while !self.closing || self.is_receiving() {
            let decoded = {
                let Line { dialect, out, .. } = &mut *self.line.borrow_mut();
                dialect.decode(input, out)
            };
            let (used, event) = match decoded {
                Ok(decoded) => decoded,
                Err(error) => {
                    warn!(peer = self.peer, %error, "connection closed: the peer broke FastCGI");
                    self.shared.metrics.broken.add(1);
                    return false;
                }
            };
            let Some(event) = event else { break };
            match event {
                Event::Begin { .. } | Event::Data { .. } => self.whole = false,
                Event::BodyEnd { .. } | Event::DataEnd { .. } => self.whole = true,
                Event::UnknownRole { role } => self.entry.refuse_role(role, &self.peer),
                _ => {}
            }
            let handled = match event {
                // The connection ends with those that are open.
                Event::Begin { .. } if self.closing => Handled::Nothing,
                event => handle(&mut self.open, event, &self.entry.routes.borrow(), &self.wake),
            };
            input = input.get(used..).unwrap_or_default();
            match handled {
                Handled::Nothing => {}
                Handled::Grown(at) => self.spill(at).await,
                Handled::Whole(at) => self.submit(at).await,
                Handled::Aborted(id) => self.abort(id),
            }
        }
        true
    }

    /// Brings a body to disk if it has become too large for memory.
    async fn spill(&mut self, at: usize) {
        let Some(open) = self.open.get_mut(at) else { return };
        let Stage::Receiving(_, assembly) = &mut open.stage else { return };
        if let Err(refusal) = assembly.spill().await {
            open.refuse(refusal, &self.wake);
        }
    }

    /// Hands a whole request to the pool.
    async fn submit(&mut self, at: usize) {
        let Some(open) = self.open.get_mut(at) else { return };
        let Stage::Receiving(_, assembly) = &mut open.stage else { return };
        if let Err(refusal) = assembly.flush().await {
            return open.refuse(refusal, &self.wake);
        }
        let receiving = std::mem::replace(&mut open.stage, Stage::Begun);
        let Stage::Receiving(route, assembly) = receiving else { return };
        match assembly.finish(&route.mount) {
            Ok(mut request) => {
                request.identify(self.shared.ids.as_ref());
                let (wake, line) = (Rc::clone(&self.wake), Rc::clone(&self.line));
                let tally = self.shared.tally(&mut request);
                let pool = route.app.choose();
                let exchange = Exchange::new(request, Rc::clone(&pool), wake, open.id, line, tally);
                open.listed = None;
                open.stage = Stage::Answering(Rc::clone(&exchange));
                pool.submit(exchange);
            }
            Err(refusal) => open.refuse(refusal, &self.wake),
        }
    }

    /// Answers an ABORT_REQUEST: the request is over (section 5.4).
    fn abort(&mut self, id: u16) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else { return };
        let open = self.open.remove(at);
        self.give_up(&open, open.keep);
        let Line { dialect, out, .. } = &mut *self.line.borrow_mut();
        dialect.end(out, id);
        self.closing |= !open.keep;
    }

    /// Takes from each open answer in turn, as long as there is room. It goes on
    /// where it stopped: what an answer without end leaves of a slow peer's
    /// attention is for the others.
    fn collect(&mut self) -> io::Result<()> {
        if self.shared.stopping.is_set() {
            self.release();
        }
        let mut without_news = 0;
        while without_news < self.open.len() {
            let at = self.turn % self.open.len();
            let Some(Open { id, stage, .. }) = self.open.get(at) else { break };
            let relayed = match stage {
                Stage::Answering(exchange) => self.line.borrow_mut().relay(*id, exchange)?,
                Stage::Begun | Stage::Receiving(..) => Relayed::Nothing,
            };
            without_news = if relayed == Relayed::Nothing { without_news + 1 } else { 0 };
            // The one behind an answer that has ended comes to stand in its place.
            self.turn =
                if matches!(relayed, Relayed::Nothing | Relayed::Part) { at + 1 } else { at };
            match relayed {
                Relayed::Nothing | Relayed::Part => {}
                Relayed::Whole => self.finish(at, true),
                Relayed::Cut => self.finish(at, false),
            }
        }
        Ok(())
    }

    fn finish(&mut self, at: usize, whole: bool) {
        let open = self.open.remove(at);
        let outcome = if whole { Outcome::Complete } else { Outcome::Cut };
        // Others go on: the peer multiplexes, and knows one answer from another.
        let alone = !whole && !self.open.is_empty();
        let stays = open.keep && (whole || alone);
        self.note(&open, outcome, stays);
        self.served = true;
        self.closing |= !stays;
        let mut line = self.line.borrow_mut();
        line.last_write = park::now();
        if alone {
            let Line { dialect, out, .. } = &mut *line;
            dialect.cut_one(out, open.id);
        } else {
            self.cut |= !whole;
        }
    }

    /// Tells of a request that is over, if anybody is told.
    fn note(&self, open: &Open, outcome: Outcome, kept: bool) {
        if self.shared.tells() {
            self.shared.tell(open, Ended { outcome, peer: &self.peer, kept });
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.open.is_empty() && std::mem::take(&mut self.cut) {
            let Line { dialect, out, .. } = &mut *self.line.borrow_mut();
            dialect.cut(out);
        }
        while !self.line.borrow().out.is_empty() {
            if !self.line.borrow_mut().write()? {
                return Ok(());
            }
            self.collect()?;
        }
        Ok(())
    }

    /// Whether the connection is over, all being written.
    fn end(&self) -> Option<Close> {
        let line = self.line.borrow();
        if !line.out.is_empty() {
            return None;
        }
        let over = if self.open.is_empty() {
            let over = self.closing || self.input_ended || line.dialect.wants_close();
            let leaves = self.shared.stopping.is_set() && line.dialect.is_idle();
            if leaves && !over && self.shared.stopping.heir.get().is_some() {
                return Some(Close::PassOn);
            }
            over || leaves && self.served
        } else {
            // What has not arrived whole never will.
            self.input_ended && self.is_receiving()
        };
        let polite = if self.closing && self.whole { Close::Drop } else { Close::Linger };
        over.then_some(polite)
    }

    /// Whether an open request is not whole yet.
    fn is_receiving(&self) -> bool {
        self.open.iter().any(Open::is_receiving)
    }

    /// Waits until something can go on; `Some` when the connection is over.
    async fn wait(&mut self) -> io::Result<Option<Close>> {
        let waiting = self.line.borrow().out.len();
        let (writing, room) = (waiting > 0, waiting < self.shared.limits.response_memory);
        if !writing && self.open.is_empty() {
            self.stream.rest();
        }
        self.shared.metrics.rests(&mut self.idle, self.open.is_empty());
        for open in self.open.iter_mut().filter(|open| open.is_receiving()) {
            open.list(&self.shared.reading);
        }
        let wanted = !self.closing || self.is_receiving();
        let pause = self.pause();
        let reading = !self.input_ended && wanted && room && pause.is_none();
        if let Some(deadline) = self.deadline().into_iter().chain(pause).min()
            && deadline < self.alarm.deadline()
        {
            self.alarm.set(deadline);
        }
        let event = poll_fn(|context| {
            if self.wake.poll(context) {
                return Poll::Ready(Ok(Waited::Woken));
            }
            if reading && self.stream.poll_readable(context)?.is_ready() {
                return Poll::Ready(Ok(Waited::Readable));
            }
            if writing && self.stream.poll_writable(context)?.is_ready() {
                return Poll::Ready(Ok(Waited::Woken));
            }
            if !reading && !writing && self.stream.poll_hung_up(context)?.is_ready() {
                return Poll::Ready(Ok(Waited::HungUp));
            }
            if self.alarm.poll(context) {
                return Poll::Ready(Ok(Waited::Alarm));
            }
            Poll::Pending
        });
        match event.await {
            Ok(Waited::Woken) => Ok(None),
            Ok(Waited::Readable) => self.read().await,
            Ok(Waited::HungUp) => Ok(Some(Close::Drop)),
            Ok(Waited::Alarm) => Ok(self.too_late()),
            Err(error) => Err(error),
        }
    }
}
