//! One connection of a web server: reads records, assembles requests, writes
//! answers.
//!
//! It never waits for one thing only: while a body arrives, answers of other
//! requests go out, and the client's end is seen while the app works.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::dialect::{Dialect, Event};
use super::exchange::{Exchange, Part};
use super::linger::linger;
use super::pool::Pool;
use super::refusal::Refusal;
use super::request::Assembly;
use super::stream::Stream;
use crate::config::{GatewayConfig, Protocol};

/// How much is read at once, in bytes.
const READ: usize = 32 * 1024;

/// How much encoded answer may wait for the socket, in bytes.
const WRITE: usize = 128 * 1024;

/// How long a new connection may take to say something once flupd is stopping.
const STOPPING_PATIENCE: Duration = Duration::from_secs(1);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// All was said: what the peer still sends is read away, so that it does
    /// not lose the answer to a reset.
    Linger,
    /// The peer has gone.
    Drop,
}

/// A request that is open on the connection.
#[derive(Debug)]
struct Open {
    id: u16,
    keep: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Its params arrive.
    Begun,
    /// Its body arrives.
    Receiving(Box<Assembly>),
    /// Its answer is awaited or goes out.
    Answering(Rc<Exchange>),
}

/// What a connection shares with all others.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: GatewayConfig,
    pub(super) pool: Rc<Pool>,
}

/// One connection.
pub(super) struct Connection {
    stream: Stream,
    dialect: Dialect,
    shared: Rc<Shared>,
    stopping: watch::Receiver<bool>,
    peer: String,
    input: BytesMut,
    out: BytesMut,
    open: Vec<Open>,
    /// An answer has a new part.
    wake: Rc<Notify>,
    /// The peer sends no more; it may still read.
    input_ended: bool,
    /// The connection ends with the requests that are open.
    closing: bool,
    served: bool,
    last_read: Instant,
    last_write: Instant,
}

impl Connection {
    /// A connection just accepted; `peer` names it in the log.
    pub(super) fn new(
        stream: Stream,
        protocol: Protocol,
        peer: String,
        shared: Rc<Shared>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            dialect: Dialect::new(protocol, &shared.config),
            stream,
            shared,
            stopping,
            peer,
            input: BytesMut::new(),
            out: BytesMut::new(),
            open: Vec::new(),
            wake: Rc::new(Notify::new()),
            input_ended: false,
            closing: false,
            served: false,
            last_read: now,
            last_write: now,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let close = match self.serve().await {
            Ok(close) => close,
            Err(error) => {
                debug!(peer = self.peer, %error, "connection lost");
                Close::Drop
            }
        };
        for open in self.open.drain(..) {
            if let Stage::Answering(exchange) = open.stage {
                exchange.cancel();
                self.shared.pool.forget(&exchange);
            }
        }
        if close == Close::Linger {
            linger(&self.stream).await;
        }
    }

    async fn serve(&mut self) -> io::Result<Close> {
        loop {
            if !self.hear().await {
                return Ok(Close::Linger);
            }
            self.collect();
            self.write()?;
            if let Some(close) = self.end() {
                return Ok(close);
            }
            if let Some(close) = self.wait().await? {
                return Ok(close);
            }
        }
    }

    /// Decodes all that was read; `false` when the peer broke the protocol.
    async fn hear(&mut self) -> bool {
        let mut input = std::mem::take(&mut self.input);
        while !self.closing || self.is_receiving() {
            let (used, event) = match self.dialect.decode(&input, &mut self.out) {
                Ok(decoded) => decoded,
                Err(error) => {
                    warn!(peer = self.peer, %error, "connection closed: the peer broke FastCGI");
                    return false;
                }
            };
            let Some(event) = event else {
                input.clear();
                break;
            };
            let handled = match event {
                // The connection ends with those that are open.
                Event::Begin { .. } if self.closing => Handled::Nothing,
                event => handle(&mut self.open, event, &self.shared, &self.wake),
            };
            input.advance(used);
            match handled {
                Handled::Nothing => {}
                Handled::Grown(at) => self.settle(at, false).await,
                Handled::Whole(at) => self.settle(at, true).await,
                Handled::Aborted(id) => self.abort(id),
            }
        }
        self.input = input;
        true
    }

    /// Spills a request's body to disk if it must, and submits the request if
    /// it is whole.
    async fn settle(&mut self, at: usize, whole: bool) {
        let Some(open) = self.open.get_mut(at) else { return };
        let Stage::Receiving(assembly) = &mut open.stage else { return };
        let refusal = if !whole {
            match assembly.spill().await {
                Ok(()) => return,
                Err(refusal) => refusal,
            }
        } else {
            let Stage::Receiving(assembly) = std::mem::replace(&mut open.stage, Stage::Begun)
            else {
                return;
            };
            let script_name = self.shared.config.script_name.as_deref().map(str::as_bytes);
            match assembly.finish(script_name).await {
                Ok(request) => {
                    let capacity = self.shared.config.limits.response_memory;
                    let exchange = Exchange::new(request, capacity, Rc::clone(&self.wake));
                    open.stage = Stage::Answering(Rc::clone(&exchange));
                    return self.shared.pool.submit(exchange);
                }
                Err(refusal) => refusal,
            }
        };
        refuse(open, &refusal, &self.wake);
    }

    /// Answers an ABORT_REQUEST: the request is over (section 5.4).
    fn abort(&mut self, id: u16) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else { return };
        let open = self.open.remove(at);
        if let Stage::Answering(exchange) = &open.stage {
            exchange.cancel();
            self.shared.pool.forget(exchange);
        }
        self.dialect.end(&mut self.out, id);
        self.closing |= !open.keep;
    }

    /// Takes from each open answer in turn, as long as there is room.
    fn collect(&mut self) {
        let mut moved = true;
        while moved && self.out.len() < WRITE {
            moved = false;
            let mut at = 0;
            while let Some(open) = self.open.get(at) {
                let part = match &open.stage {
                    Stage::Answering(exchange) => exchange.take(),
                    Stage::Begun | Stage::Receiving(_) => None,
                };
                let id = open.id;
                moved |= part.is_some();
                match part {
                    Some(Part::Head(head)) => self.dialect.head(&mut self.out, id, &head),
                    Some(Part::Body(bytes)) => self.dialect.body(&mut self.out, id, &bytes),
                    Some(Part::Stderr(text)) => self.dialect.stderr(&mut self.out, id, &text),
                    Some(Part::End { whole }) => {
                        self.finish(at, whole);
                        continue;
                    }
                    None => {}
                }
                at += 1;
            }
        }
    }

    fn finish(&mut self, at: usize, whole: bool) {
        let open = self.open.remove(at);
        self.served = true;
        if whole {
            self.dialect.end(&mut self.out, open.id);
            self.closing |= !open.keep;
        } else {
            // Without its END_REQUEST, so that no web server takes the answer
            // for a complete one.
            self.closing = true;
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out)? {
                Some(count) => {
                    self.out.advance(count);
                    self.last_write = Instant::now();
                    if self.out.len() < WRITE / 2 {
                        self.collect();
                    }
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Whether the connection is over, all being written.
    fn end(&self) -> Option<Close> {
        if !self.out.is_empty() {
            return None;
        }
        let over = if self.open.is_empty() {
            let leaves = *self.stopping.borrow() && self.served && self.dialect.is_idle();
            self.closing || self.input_ended || self.dialect.wants_close() || leaves
        } else {
            // What has not arrived whole never will.
            self.input_ended && self.is_receiving()
        };
        over.then_some(Close::Linger)
    }

    /// Whether an open request is not whole yet.
    fn is_receiving(&self) -> bool {
        self.open.iter().any(|open| !matches!(open.stage, Stage::Answering(_)))
    }

    /// Waits until something can go on; `Some` when the connection is over.
    async fn wait(&mut self) -> io::Result<Option<Close>> {
        let writing = !self.out.is_empty();
        let wanted = !self.closing || self.is_receiving();
        let reading = !self.input_ended && wanted && self.out.len() < WRITE;
        let deadline = self.deadline();
        let interest = match (reading, writing) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        let ready = async {
            match interest {
                Some(interest) => self.stream.ready(interest).await.map(drop),
                None => self.stream.hung_up().await,
            }
        };
        tokio::select! {
            biased;
            done = ready => done?,
            () = self.wake.notified() => return Ok(None),
            _ = self.stopping.changed() => return Ok(None),
            () = sleep_until(deadline) => return Ok(self.too_late()),
        }
        if interest.is_none() {
            return Ok(Some(Close::Drop));
        }
        if reading { self.read().await } else { Ok(None) }
    }

    async fn read(&mut self) -> io::Result<Option<Close>> {
        self.input.reserve(READ);
        match self.stream.try_read(&mut self.input)? {
            None => {}
            Some(0) => {
                self.input_ended = true;
                if self.stream.ready(Interest::WRITABLE).await?.is_write_closed() {
                    return Ok(Some(Close::Drop));
                }
            }
            Some(_) => self.last_read = Instant::now(),
        }
        Ok(None)
    }

    /// Until when the peer has to do something; `None` while it is our turn.
    fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.shared.config.timeouts;
        if !self.out.is_empty() {
            return Some(self.last_write + timeouts.write);
        }
        if self.is_receiving() || !self.dialect.is_idle() && self.open.is_empty() {
            Some(self.last_read + timeouts.read)
        } else if !self.open.is_empty() {
            None
        } else if *self.stopping.borrow() {
            Some(self.last_read.max(self.last_write) + STOPPING_PATIENCE)
        } else if self.served {
            Some(self.last_write + timeouts.keep)
        } else {
            Some(self.last_read + timeouts.read)
        }
    }

    /// The deadline has passed: `Some` ends the connection.
    fn too_late(&mut self) -> Option<Close> {
        if self.deadline().is_some_and(|deadline| deadline > Instant::now()) {
            return None;
        }
        let timeouts = &self.shared.config.timeouts;
        if !self.out.is_empty() {
            let seconds = timeouts.write.as_secs();
            info!(peer = self.peer, seconds, "connection closed: the peer takes no answer");
            return Some(Close::Drop);
        }
        let mut refused = false;
        for open in &mut self.open {
            if !matches!(open.stage, Stage::Answering(_)) {
                let why = format!("no byte for {} s (--read-timeout)", timeouts.read.as_secs());
                info!(peer = self.peer, why, "request refused");
                refuse(open, &Refusal::timed_out(why), &self.wake);
                open.keep = false;
                refused = true;
            }
        }
        if refused {
            return None;
        }
        debug!(peer = self.peer, "connection closed: idle");
        Some(Close::Linger)
    }
}

/// What an event asks of the connection.
enum Handled {
    Nothing,
    /// The body of the open request at this place has grown.
    Grown(usize),
    /// The open request at this place is whole.
    Whole(usize),
    Aborted(u16),
}

/// Carries out an event that needs no waiting.
fn handle(open: &mut Vec<Open>, event: Event<'_>, shared: &Shared, wake: &Rc<Notify>) -> Handled {
    let id = match event {
        Event::Begin { id, keep } => {
            open.push(Open { id, keep, stage: Stage::Begun });
            return Handled::Nothing;
        }
        Event::Params { id, .. }
        | Event::Body { id, .. }
        | Event::BodyEnd { id }
        | Event::Abort { id }
        | Event::Refused { id, .. } => id,
    };
    let Some(at) = open.iter().position(|open| open.id == id) else { return Handled::Nothing };
    let Some(open) = open.get_mut(at) else { return Handled::Nothing };
    let refusal = match (event, &mut open.stage) {
        (Event::Params { params, .. }, Stage::Begun) => {
            match Assembly::new(params, &shared.config.limits) {
                Ok(assembly) => {
                    open.stage = Stage::Receiving(Box::new(assembly));
                    return Handled::Nothing;
                }
                Err(refusal) => refusal,
            }
        }
        (Event::Body { bytes, .. }, Stage::Receiving(assembly)) => match assembly.body(bytes) {
            Ok(()) => return Handled::Grown(at),
            Err(refusal) => refusal,
        },
        (Event::BodyEnd { .. }, Stage::Receiving(_)) => return Handled::Whole(at),
        (Event::Abort { .. }, _) => return Handled::Aborted(id),
        (Event::Refused { refusal, .. }, _) => refusal,
        // The rest of a request that was refused already.
        _ => return Handled::Nothing,
    };
    refuse(open, &refusal, wake);
    Handled::Nothing
}

/// Answers a request that is not whole; what still comes of it is ignored.
fn refuse(open: &mut Open, refusal: &Refusal, wake: &Rc<Notify>) {
    warn!(why = refusal.why, status = refusal.status, "request refused");
    open.stage = Stage::Answering(Exchange::refused(refusal, Rc::clone(wake)));
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
