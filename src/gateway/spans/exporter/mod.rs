//! Sends spans to a collector, from a thread of its own.
//!
//! Whoever has a span offers it and goes on. The queue is bounded: when the collector is
//! slow, dead, or refuses, spans are dropped, counted, and seldom logged.

mod collector;
mod otlp;
mod queue;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{SigSet, SigmaskHow};
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use self::collector::{Collector, Failure};
use self::queue::{BATCH, Queue};
use super::span::Span;
use crate::config::otlp::Otlp;
use crate::observe::metrics::Metrics;

/// How long the last spans may take to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often a batch is sent before it is dropped, where that may help.
const ATTEMPTS: u32 = 5;

/// How long to wait before the second time; then twice as long, and so on.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait that a collector can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How often the log says that spans are dropped.
const SELDOM: Duration = Duration::from_secs(60);

/// The thread that exports, as others see it.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    /// It has sent the last ones.
    done: RefCell<Option<oneshot::Receiver<()>>>,
}

/// The same as it sees itself.
struct Sender {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    collector: Collector,
    /// What is the same in each message.
    frame: otlp::Frame,
    /// Whether the log believes that the collector takes nothing.
    failing: bool,
    /// When the log was told last that something is wrong.
    complained: Option<Instant>,
    /// How many spans had been dropped when the log was told.
    known: u64,
}

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it can't be started.
    pub(super) fn start(config: &Otlp, metrics: Arc<Metrics>) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let sender = Sender {
            queue: Arc::clone(&queue),
            metrics: Arc::clone(&metrics),
            collector: Collector::new(config),
            frame: otlp::Frame::new(config),
            failing: false,
            complained: None,
            known: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (told, done) = oneshot::channel();
        // Signals are for the main thread: in solo mode that is the app's.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let thread = std::thread::Builder::new().name("flupd-spans".to_owned());
        let started = thread.spawn(move || {
            runtime.block_on(sender.run());
            // A look-up of a name that still runs has nobody to wait for it.
            runtime.shutdown_background();
            // Perhaps nobody waits any more.
            let _ = told.send(());
        });
        before.thread_set_mask()?;
        started.map(|_| Self { queue, metrics, done: RefCell::new(Some(done)) })
    }

    /// Takes a span, if there is room. Never waits.
    pub(super) fn offer(&self, span: Span) {
        if !self.queue.offer(span) {
            self.metrics.spans.overflowed.add(1);
        }
    }

    /// Sends what there is: no more spans come. Ends in a short time, whatever the
    /// collector does.
    pub(super) async fn finish(&self) {
        self.queue.close();
        let done = self.done.take();
        if let Some(done) = done
            && timeout(FAREWELL, done).await.is_err()
        {
            let lost = self.queue.left();
            warn!(lost, "the last spans were lost: the collector took them too slowly");
        }
    }
}

impl Sender {
    async fn run(mut self) {
        while self.queue.filled().await {
            let spans = self.queue.take(BATCH);
            self.deliver(spans).await;
            self.queue.settle();
        }
    }

    /// Sends a batch, several times if that may help.
    async fn deliver(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let body = Bytes::from(self.frame.request(spans).encode_to_vec());
        let mut pause = PAUSE;
        for attempt in 1.. {
            let Err(failure) = self.collector.post(body.clone()).await else {
                self.metrics.spans.exported.add(count);
                return self.taken();
            };
            let last = !failure.passes || attempt >= ATTEMPTS || self.queue.is_closed();
            if last {
                self.metrics.spans.failed.add(count);
            }
            self.complain(&failure);
            if last {
                return;
            }
            let wait = failure.after.unwrap_or(pause).min(MAX_PAUSE);
            pause *= 2;
            // When flupd stops, there is one more time.
            let _ = timeout(wait, self.queue.closed()).await;
        }
    }

    /// A batch was not taken.
    fn complain(&mut self, failure: &Failure) {
        if !self.may_complain() && !self.queue.is_closed() {
            return;
        }
        (self.failing, self.complained) = (true, Some(Instant::now()));
        let (collector, error, dropped) = (self.collector.name(), &failure.why, self.dropped());
        warn!(collector, error, dropped, "spans can't be exported");
    }

    /// A batch was taken.
    fn taken(&mut self) {
        if std::mem::take(&mut self.failing) {
            let (collector, dropped) = (self.collector.name(), self.dropped());
            info!(collector, dropped, "spans are exported again");
        } else if self.may_complain() {
            let dropped = self.dropped();
            if dropped > 0 {
                self.complained = Some(Instant::now());
                let collector = self.collector.name();
                warn!(
                    collector,
                    dropped, "spans were dropped: the collector takes them too slowly"
                );
            }
        }
    }

    /// Whether the log has not been told of late.
    fn may_complain(&self) -> bool {
        self.complained.is_none_or(|then| then.elapsed() >= SELDOM)
    }

    /// How many spans were dropped since this was asked last.
    fn dropped(&mut self) -> u64 {
        let spans = &self.metrics.spans;
        let all = spans.failed.get().wrapping_add(spans.overflowed.get());
        let before = std::mem::replace(&mut self.known, all);
        all.wrapping_sub(before)
    }
}
