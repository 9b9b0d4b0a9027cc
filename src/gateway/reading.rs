//! Requests that are still arriving, for those who ask what runs.
//!
//! Only those stand here that had to be waited for: most requests come whole, and
//! never do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::time::Instant;

use super::request::Assembly;
use crate::observe::snapshot::RequestSnapshot;

/// All of them, in the order in which they were first waited for.
#[derive(Debug, Default)]
pub(super) struct Reading {
    entries: RefCell<BTreeMap<u64, Entry>>,
    next: Cell<u64>,
}

#[derive(Debug)]
struct Entry {
    begun: Instant,
    received: u64,
    /// The app's name, and what is known of the request once its params are there.
    known: Option<(Option<String>, RequestSnapshot)>,
}

/// The place of one request, until this is dropped.
#[derive(Debug)]
pub(super) struct Listed {
    reading: Rc<Reading>,
    number: u64,
}

impl Reading {
    /// A request whose first byte came then has to be waited for.
    pub(super) fn list(self: &Rc<Self>, begun: Instant) -> Listed {
        let number = self.next.get();
        self.next.set(number + 1);
        self.entries.borrow_mut().insert(number, Entry { begun, received: 0, known: None });
        Listed { reading: Rc::clone(self), number }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// So many of them, the oldest first.
    pub(super) fn oldest(&self, most: usize) -> Vec<RequestSnapshot> {
        self.entries.borrow().values().take(most).map(Entry::told).collect()
    }
}

impl Entry {
    fn told(&self) -> RequestSnapshot {
        let (app, told) = self.known.clone().unwrap_or_default();
        RequestSnapshot {
            app,
            phase: "reading".to_owned(),
            age_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            received: Some(self.received),
            ..told
        }
    }
}

impl Listed {
    /// So much of it is there.
    pub(super) fn arrives(&self, app: Option<&str>, assembly: &Assembly) {
        if let Some(entry) = self.reading.entries.borrow_mut().get_mut(&self.number) {
            entry.received = assembly.received();
            entry.known.get_or_insert_with(|| (app.map(str::to_owned), assembly.told()));
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.reading.entries.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_told_until_they_have_arrived() {
        let reading = Rc::<Reading>::default();
        let first = reading.list(Instant::now());
        let _others = [(); 3].map(|()| reading.list(Instant::now()));
        assert_eq!((reading.len(), reading.oldest(2).len()), (4, 2));
        drop(first);
        assert_eq!((reading.len(), reading.oldest(9).len()), (3, 3));
        let told = &reading.oldest(1)[0];
        assert_eq!(
            (told.phase.as_str(), told.received, told.line().as_str()),
            ("reading", Some(0), "(its params are arriving)")
        );
    }
}
