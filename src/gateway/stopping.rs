//! Tells every connection and listener that flupd is stopping.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;

use super::heir::Heir;
use super::wake::Wake;

/// Whether flupd is stopping, and who has to be woken when it is.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    set: Cell<bool>,
    /// Who gets the connections, if flupd is only replaced.
    pub(super) heir: OnceCell<Heir>,
    watched: RefCell<Vec<Weak<Wake>>>,
    /// At this many entries those that have gone are removed.
    prune: Cell<usize>,
}

impl Stopping {
    /// A wake that is notified when flupd stops.
    pub(super) fn watched(&self) -> Rc<Wake> {
        let wake = Rc::new(Wake::default());
        let mut watched = self.watched.borrow_mut();
        if watched.len() >= self.prune.get() {
            watched.retain(|wake| wake.strong_count() > 0);
            self.prune.set(2 * watched.len() + 64);
        }
        watched.push(Rc::downgrade(&wake));
        wake
    }

    /// flupd is stopping.
    pub(super) fn set(&self) {
        self.set.set(true);
        self.watched.borrow().iter().filter_map(Weak::upgrade).for_each(|wake| wake.notify());
    }

    /// Whether flupd is stopping.
    pub(super) const fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until flupd is stopping.
    pub(super) async fn wait(&self) {
        let wake = self.watched();
        poll_fn(|context| {
            let _ = wake.poll(context);
            if self.is_set() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
