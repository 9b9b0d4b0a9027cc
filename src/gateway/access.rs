//! The gateway's side of the access log: lines are gathered, and sent to the
//! supervisor, which writes them, many at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::warn;

use crate::control::PacketSocket;
use crate::observe::access::{Clock, Format, LogEntry};

/// How long a line may wait for others.
const DELAY: Duration = Duration::from_millis(100);

/// So many bytes are sent at once, and not waited for more.
const BATCH: usize = 32 * 1024;

/// How many full batches may wait for a supervisor that is slow. Lines that come
/// then are lost, and counted.
const WAITING: usize = 128;

/// How long the last lines may take to be sent.
const FAREWELL: Duration = Duration::from_secs(1);

/// The access log.
#[derive(Debug)]
pub(super) struct AccessLog {
    format: Format,
    /// Whether a line tells what its request has cost.
    wants_cost: bool,
    clock: RefCell<Clock>,
    socket: PacketSocket,
    /// Each holds whole lines; only the last is not full.
    batches: RefCell<VecDeque<Vec<u8>>>,
    /// There is a first line.
    begun: Notify,
    /// There is a full batch.
    full: Notify,
    lost: Cell<u64>,
}

impl AccessLog {
    /// Sends lines over this socket. Needs a running local runtime.
    ///
    /// # Errors
    /// When the socket can't be watched.
    pub(super) fn new(format: Format, socket: OwnedFd) -> io::Result<Rc<Self>> {
        let log = Rc::new(Self {
            wants_cost: format.wants_cost(),
            format,
            clock: RefCell::default(),
            socket: PacketSocket::new(socket)?,
            batches: RefCell::default(),
            begun: Notify::new(),
            full: Notify::new(),
            lost: Cell::new(0),
        });
        tokio::task::spawn_local(Rc::clone(&log).send_forever());
        Ok(log)
    }

    /// Whether a line tells what its request has cost.
    pub(super) const fn wants_cost(&self) -> bool {
        self.wants_cost
    }

    /// Writes the line of a request.
    pub(super) fn write(&self, entry: &LogEntry<'_>) {
        let mut batches = self.batches.borrow_mut();
        if batches.len() >= WAITING {
            return self.lost.set(self.lost.get() + 1);
        }
        match batches.back_mut() {
            Some(batch) if batch.len() < BATCH => {
                self.format.write(entry, &mut self.clock.borrow_mut(), batch);
                if batch.len() >= BATCH {
                    self.full.notify_one();
                }
            }
            last => {
                if last.is_none() {
                    self.begun.notify_one();
                }
                let mut batch = Vec::with_capacity(BATCH + BATCH / 8);
                self.format.write(entry, &mut self.clock.borrow_mut(), &mut batch);
                batches.push_back(batch);
            }
        }
    }

    /// Sends what there is, some time after its first line or when a batch is
    /// full.
    async fn send_forever(self: Rc<Self>) {
        loop {
            self.begun.notified().await;
            // Either way there is something to send.
            let _ = timeout(DELAY, self.full.notified()).await;
            self.send().await;
        }
    }

    /// Sends all lines, waiting for the supervisor if it is slow.
    async fn send(&self) {
        while let Some(batch) = self.take() {
            if self.socket.send(&batch, &[]).await.is_err() {
                // The supervisor has gone, and so shall we.
                return;
            }
            let lost = self.lost.take();
            if lost > 0 {
                warn!(lost, "access log lines were lost: the log took them too slowly");
            }
        }
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.batches.borrow_mut().pop_front()
    }

    /// Sends what there is: no more lines come.
    pub(super) async fn finish(&self) {
        if timeout(FAREWELL, self.send()).await.is_err() {
            warn!("the last access log lines were lost: the log took them too slowly");
        }
    }
}
