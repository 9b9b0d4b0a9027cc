//! Asks flupd again and again, on a thread of its own: a flupd that does not
//! answer holds up no key.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use super::Event;
use crate::admin::client::ask;
use crate::admin::{Order, Outcome};
use crate::observe::snapshot::Snapshot;

/// The thread that asks. It ends when nobody takes what it hears.
pub(super) struct Poll {
    frames: Arc<AtomicBool>,
    hurry: Sender<()>,
}

impl Poll {
    /// Asks the flupd that listens at this path from now on.
    ///
    /// # Errors
    /// When there can be no thread more.
    pub(super) fn start(
        path: &Path,
        interval: Duration,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let frames = Arc::new(AtomicBool::new(false));
        let (hurry, hurried) = mpsc::channel();
        let (path, wanted) = (path.to_owned(), Arc::clone(&frames));
        let work = move || {
            wait(&hurried, interval);
            while events.send(Event::Told(look(&path, wanted.load(Relaxed)))).is_ok() {
                wait(&hurried, interval);
            }
        };
        std::thread::Builder::new().name("flupd-poll".to_owned()).spawn(work)?;
        Ok(Self { frames, hurry })
    }

    /// Whether it shall ask for the frames of requests, too.
    pub(super) fn want_frames(&self, wanted: bool) {
        self.frames.store(wanted, Relaxed);
    }

    /// Somebody waits for the next look.
    pub(super) fn at_once(&self) {
        let _ = self.hurry.send(());
    }
}

fn wait(hurried: &Receiver<()>, interval: Duration) {
    // What has piled up meanwhile is one wish.
    if hurried.recv_timeout(interval).is_ok() {
        hurried.try_iter().for_each(drop);
    }
}

/// What the flupd does that listens at this path, or why it can't be told.
pub(super) fn look(path: &Path, frames: bool) -> Result<Snapshot, String> {
    match ask(path, Order::Status { frames }) {
        Ok(Outcome::Status(snapshot)) => Ok(*snapshot),
        Ok(Outcome::Failed(why)) => Err(why),
        Ok(Outcome::Done | Outcome::Said(_) | Outcome::AskAgain) => {
            Err("flupd has said nothing".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}
