//! Spans that wait for the exporter's thread.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::gateway::spans::span::Span;

/// How many spans may wait.
const MOST: usize = 4096;

/// So many are sent at once, and not waited for more.
pub(super) const BATCH: usize = 512;

/// How long a span may wait for others.
const DELAY: Duration = Duration::from_secs(1);

/// The spans.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is a first one, a batch of them, or the end.
    news: Notify,
    /// No more come.
    end: Notify,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<Span>,
    /// How many are being sent.
    out: usize,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a span; `false` if there is no room for it.
    pub(super) fn offer(&self, span: Span) -> bool {
        let count = {
            let mut state = self.state();
            if state.closed || state.spans.len() >= MOST {
                return false;
            }
            state.spans.push_back(span);
            state.spans.len()
        };
        if count == 1 || count == BATCH {
            self.news.notify_one();
        }
        true
    }

    /// No more come.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.news.notify_one();
        self.end.notify_one();
    }

    /// Whether [`Queue::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until [`Queue::close`] is called; for one who waits.
    pub(super) async fn closed(&self) {
        while !self.is_closed() {
            self.end.notified().await;
        }
    }

    /// Waits until there are enough, or the first has waited long enough; `false` when
    /// there are none, and will be none.
    pub(super) async fn filled(&self) -> bool {
        let mut deadline = None;
        loop {
            let (count, closed) = {
                let state = self.state();
                (state.spans.len(), state.closed)
            };
            if closed || count >= BATCH {
                return count > 0;
            }
            if count > 0 && deadline.is_none() {
                deadline = Some(Instant::now() + DELAY);
            }
            match deadline {
                None => self.news.notified().await,
                Some(at) => {
                    if timeout_at(at, self.news.notified()).await.is_err() {
                        return true;
                    }
                }
            }
        }
    }

    /// Takes the oldest out, so many at most, to be sent.
    pub(super) fn take(&self, most: usize) -> Vec<Span> {
        let mut state = self.state();
        let count = state.spans.len().min(most);
        let taken: Vec<Span> = state.spans.drain(..count).collect();
        state.out = taken.len();
        taken
    }

    /// What was taken out is sent, or dropped.
    pub(super) fn settle(&self) {
        self.state().out = 0;
    }

    /// How many are not sent yet.
    pub(super) fn left(&self) -> usize {
        let state = self.state();
        state.spans.len() + state.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::spans::SpanPlace;
    use crate::observe::trace_context::{SpanId, TraceId, TraceParent};

    fn span() -> Span {
        let own = TraceParent::root(TraceId([1; 16]), SpanId([1; 8]), true);
        Span {
            place: SpanPlace { own, parent: None },
            state: String::new(),
            name: "GET",
            begun: 0,
            ended: 1,
            attributes: Vec::new(),
            events: Vec::new(),
            failure: None,
        }
    }

    #[tokio::test]
    async fn the_first_waits_for_others_but_not_for_ever() {
        let queue = Queue::default();
        assert!(queue.offer(span()));
        let begun = Instant::now();
        assert!(queue.filled().await && begun.elapsed() >= DELAY);
        (1..BATCH).for_each(|_| assert!(queue.offer(span())));
        let begun = Instant::now();
        assert!(queue.filled().await && begun.elapsed() < DELAY);
        assert_eq!((queue.take(BATCH).len(), queue.left()), (BATCH, BATCH));
        queue.settle();
        assert_eq!(queue.left(), 0);
    }

    #[tokio::test]
    async fn what_has_no_room_is_refused() {
        let queue = Queue::default();
        assert_eq!((0..MOST + 3).filter(|_| queue.offer(span())).count(), MOST);
        queue.take(1);
        assert!(queue.offer(span()) && !queue.offer(span()));
    }

    #[tokio::test]
    async fn the_end_is_not_waited_for() {
        let queue = Queue::default();
        queue.offer(span());
        queue.close();
        assert!(!queue.offer(span()));
        queue.closed().await;
        let begun = Instant::now();
        assert!(queue.filled().await && queue.take(BATCH).len() == 1);
        assert!(!queue.filled().await && begun.elapsed() < DELAY);
    }
}
