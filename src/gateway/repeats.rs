//! What is logged again and again: the first ones in full, and then how many more
//! there were. A flood of errors must not become a flood of lines, nor hide the
//! one that is another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

/// How many of a kind are logged in full in one [`WINDOW`].
const FULL: u64 = 10;

/// For how long they are counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// How many kinds are told apart in one window. What is past that is one kind.
const KINDS: usize = 64;

/// The longest text that says of what kind those were that are only counted.
const TEXT: usize = 200;

/// What was logged in this window. All of it is one app's, or one listener's.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    kinds: RefCell<HashMap<u64, Kind>>,
}

#[derive(Debug)]
struct Kind {
    seen: u64,
    /// The last line of the first one.
    what: String,
}

impl Repeats {
    /// Whether this is to be logged in full; else it is counted. `kind` is the same
    /// for all that say the same; `what` says so to people, and `of` whose they are.
    pub(super) fn admit(self: &Rc<Self>, kind: u64, what: &str, of: Option<&str>) -> bool {
        let mut kinds = self.kinds.borrow_mut();
        if kinds.is_empty() {
            tokio::task::spawn_local(Rc::clone(self).sum_up(of.map(str::to_owned)));
        }
        let kind = if kinds.len() < KINDS || kinds.contains_key(&kind) { kind } else { 0 };
        let kind = kinds.entry(kind).or_insert_with(|| {
            let line = what.trim_end().lines().next_back().unwrap_or_default();
            let line = line.get(..line.floor_char_boundary(TEXT)).unwrap_or_default();
            Kind { seen: 0, what: line.to_owned() }
        });
        kind.seen += 1;
        kind.seen <= FULL
    }

    /// Says at the end of the window how many were only counted.
    async fn sum_up(self: Rc<Self>, of: Option<String>) {
        sleep(WINDOW).await;
        let kinds = self.kinds.take();
        for Kind { seen, what } in kinds.into_values().filter(|kind| kind.seen > FULL) {
            let (app, more) = (of.as_deref(), seen - FULL);
            warn!(app, more, what, "more of the same in the last second");
        }
    }
}

/// What tells an app's error from another one: where it was raised, and of which
/// type it is; not what it says, which may be another with each request.
pub(super) fn kind_of(traceback: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in traceback.lines() {
        let is_place = line.starts_with([' ', '\t']);
        let told = if is_place { line } else { line.split(':').next().unwrap_or_default() };
        told.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEBACK: &str = "the app raised an exception\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\n";

    #[tokio::test]
    async fn the_first_ones_and_every_other_kind_are_admitted() {
        let test = async {
            let repeats = Rc::<Repeats>::default();
            let admitted = |kind| (0..25).filter(|_| repeats.admit(kind, "x", None)).count();
            assert_eq!([admitted(1), admitted(2), admitted(1)], [10, 10, 0]);
            // The window ends.
            repeats.kinds.take();
            assert_eq!(admitted(1), 10);
            let others = (0..1000).filter(|kind| repeats.admit(*kind + 10, "x", None)).count();
            assert!(others < KINDS + 10, "{others}");
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }

    #[test]
    fn what_an_error_says_makes_no_kind_but_its_type_and_place_do() {
        let kind = |end: &str| kind_of(&format!("{TRACEBACK}{end}"));
        assert_eq!(kind("KeyError: 'a'"), kind("KeyError: 'b'"));
        assert_ne!(kind("KeyError: 'a'"), kind("ValueError: 'a'"));
        assert_ne!(kind("KeyError"), kind_of(&TRACEBACK.replace("line 3", "line 4")));
    }
}
