//! One request and its answer: what a connection and an app thread's link share.
//!
//! The connection puts an exchange into the pool; the link that gets it fills
//! in the answer; the connection takes the parts out and encodes them. The
//! buffer between them is bounded: when it is full, the link stops reading, and
//! the app waits in its write.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use flupd_channel::Outcome;
use tokio::sync::Notify;

use super::refusal::Refusal;
use super::request::Request;

/// How much error text may wait for the head, in bytes. What is past that is
/// in flupd's own log only.
const MAX_EARLY: usize = 64 * 1024;

/// A piece of an answer, in the order in which it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The CGI response head.
    Head(Bytes),
    /// A part of the body.
    Body(Bytes),
    /// Text for the web server's error log.
    Stderr(Bytes),
    /// The last one; `whole` is false where the web server must see a cut.
    End {
        /// Whether the answer is complete.
        whole: bool,
    },
}

/// One request and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The request; `None` for one that was refused before it was whole.
    pub(super) request: Option<Request>,
    /// How often a worker died with it inside.
    pub(super) attempts: Cell<u8>,
    answer: RefCell<Answer>,
    capacity: usize,
    cancelled: Cell<bool>,
    /// The connection has taken something out, or has given up.
    link_wakes: Notify,
    /// There is something to take out.
    connection_wakes: Rc<Notify>,
}

#[derive(Debug, Default)]
struct Answer {
    parts: VecDeque<Part>,
    bytes: usize,
    /// Error text that came before the head: some web servers take none there.
    early: Vec<Bytes>,
    started: bool,
    ended: bool,
}

impl Exchange {
    /// A request that waits for its answer. At `capacity` bytes of answer that
    /// nobody has taken, the app has to wait.
    pub(super) fn new(request: Request, capacity: usize, connection: Rc<Notify>) -> Rc<Self> {
        Rc::new(Self::over(Some(request), capacity, connection))
    }

    /// A request that is answered with a refusal.
    pub(super) fn refused(refusal: &Refusal, connection: Rc<Notify>) -> Rc<Self> {
        let exchange = Self::over(None, 0, connection);
        exchange.refuse(refusal);
        Rc::new(exchange)
    }

    fn over(request: Option<Request>, capacity: usize, connection: Rc<Notify>) -> Self {
        Self {
            request,
            attempts: Cell::new(0),
            answer: RefCell::default(),
            capacity,
            cancelled: Cell::new(false),
            link_wakes: Notify::new(),
            connection_wakes: connection,
        }
    }

    /// Adds the head; error text that waited for it follows.
    pub(super) fn head(&self, head: Bytes) {
        let mut answer = self.answer.borrow_mut();
        answer.started = true;
        answer.push(Part::Head(head));
        for text in std::mem::take(&mut answer.early) {
            answer.push(Part::Stderr(text));
        }
        self.connection_wakes.notify_one();
    }

    /// Adds a part of the body.
    pub(super) fn body(&self, bytes: Bytes) {
        self.push(Part::Body(bytes));
    }

    /// Adds text for the web server's error log.
    pub(super) fn stderr(&self, text: Bytes) {
        let mut answer = self.answer.borrow_mut();
        if answer.started {
            answer.push(Part::Stderr(text));
            self.connection_wakes.notify_one();
        } else if answer.early.iter().map(Bytes::len).sum::<usize>() < MAX_EARLY {
            answer.early.push(text);
        }
    }

    /// Ends the answer as the worker says. Without a head there is nothing to
    /// complete or cut: that is answered 500.
    pub(super) fn end(&self, outcome: Outcome) {
        if !self.started() {
            return self.refuse(&Refusal::no_answer());
        }
        self.push(Part::End { whole: outcome == Outcome::Complete });
        self.answer.borrow_mut().ended = true;
    }

    /// Answers with a refusal; cuts an answer that has begun.
    pub(super) fn refuse(&self, refusal: &Refusal) {
        if self.started() {
            return self.end(Outcome::Cut);
        }
        self.head(refusal.head());
        self.body(refusal.body());
        self.end(Outcome::Complete);
    }

    fn push(&self, part: Part) {
        self.answer.borrow_mut().push(part);
        self.connection_wakes.notify_one();
    }

    /// Whether the head is there.
    pub(super) fn started(&self) -> bool {
        self.answer.borrow().started
    }

    /// Takes the next part of the answer.
    pub(super) fn take(&self) -> Option<Part> {
        let mut answer = self.answer.borrow_mut();
        let was_full = answer.bytes >= self.capacity;
        let part = answer.parts.pop_front()?;
        answer.bytes -= part.size();
        if was_full && answer.bytes < self.capacity {
            self.link_wakes.notify_one();
        }
        Some(part)
    }

    /// Whether the link must not add more.
    pub(super) fn is_full(&self) -> bool {
        self.answer.borrow().bytes >= self.capacity && !self.cancelled.get()
    }

    /// The client has gone or has aborted: nobody takes the answer any more.
    pub(super) fn cancel(&self) {
        self.cancelled.set(true);
        self.link_wakes.notify_one();
    }

    /// Whether [`Exchange::cancel`] was called.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Waits until there is room again or the exchange is cancelled.
    pub(super) async fn link_woken(&self) {
        self.link_wakes.notified().await;
    }

    /// `GET /path`, for the log.
    pub(super) fn describe(&self) -> String {
        let name = |r: &Request| format!("{} {}", r.method(), r.uri());
        self.request.as_ref().map(name).unwrap_or_default()
    }
}

impl Answer {
    fn push(&mut self, part: Part) {
        if !self.ended {
            self.bytes += part.size();
            self.parts.push_back(part);
        }
    }
}

impl Part {
    /// What it costs to hold it, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Head(bytes) | Self::Body(bytes) | Self::Stderr(bytes) => bytes.len(),
            Self::End { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Rc<Exchange> {
        let request = Request {
            params: cgi::Params::new(),
            body: flupd_channel::gateway::Body::Memory(vec![]),
        };
        Exchange::new(request, 10, Rc::new(Notify::new()))
    }

    fn parts(exchange: &Exchange) -> Vec<Part> {
        std::iter::from_fn(|| exchange.take()).collect()
    }

    #[test]
    fn error_text_waits_for_the_head() {
        let exchange = exchange();
        exchange.stderr(Bytes::from_static(b"oh"));
        assert_eq!(parts(&exchange), []);
        exchange.head(Bytes::from_static(b"H"));
        exchange.end(Outcome::Complete);
        let (head, text) = (Bytes::from_static(b"H"), Bytes::from_static(b"oh"));
        let expected = [Part::Head(head), Part::Stderr(text), Part::End { whole: true }];
        assert_eq!(parts(&exchange), expected);
    }

    #[test]
    fn a_full_buffer_makes_the_link_wait_until_it_is_taken_or_cancelled() {
        let exchange = exchange();
        exchange.head(Bytes::from_static(b"0123456789"));
        assert!(exchange.is_full());
        exchange.take();
        assert!(!exchange.is_full());
        exchange.body(Bytes::from_static(b"0123456789"));
        exchange.cancel();
        assert!(!exchange.is_full());
    }

    #[test]
    fn a_refusal_after_the_head_cuts() {
        let exchange = exchange();
        exchange.head(Bytes::from_static(b"H"));
        exchange.refuse(&Refusal::worker_lost(String::new()));
        assert_eq!(parts(&exchange).last(), Some(&Part::End { whole: false }));
    }

    #[test]
    fn no_answer_at_all_is_a_500() {
        let exchange = exchange();
        exchange.end(Outcome::Failed);
        let Some(Part::Head(head)) = exchange.take() else { panic!() };
        assert!(head.starts_with(b"Status: 500 "));
    }
}
