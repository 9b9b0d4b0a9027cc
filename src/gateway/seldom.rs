//! What is logged once a second at most: a flood of events must not become a
//! flood of lines.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::park;

/// How long nothing is said after something was.
const QUIET: Duration = Duration::from_secs(1);

/// When something was said last, and how often it was not since.
#[derive(Debug, Default)]
pub(super) struct Seldom(Cell<(Option<Instant>, u64)>);

impl Seldom {
    /// Something has happened that may be worth a line: calls `say` with how many
    /// such events went unsaid before, if any did.
    pub(super) fn say(&self, say: impl FnOnce(Option<u64>)) {
        let (last, unsaid) = self.0.get();
        let now = park::now();
        if last.is_some_and(|last| now.duration_since(last) < QUIET) {
            return self.0.set((last, unsaid + 1));
        }
        self.0.set((Some(now), 0));
        say((unsaid > 0).then_some(unsaid));
    }
}
