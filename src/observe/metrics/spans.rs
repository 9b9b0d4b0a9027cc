//! What has become of the spans of requests.

use super::Cell;

/// How many spans there were.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Spans {
    /// The collector has taken them.
    pub exported: Cell,
    /// There was no room for them: the collector takes them too slowly.
    pub overflowed: Cell,
    /// The collector did not take them.
    pub failed: Cell,
}

impl Spans {
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        [&self.exported, &self.overflowed, &self.failed].into_iter()
    }

    /// Those that nobody has got, by reason.
    pub(super) fn dropped(&self) -> [(&'static str, u64); 2] {
        [("queue_full", self.overflowed.get()), ("collector", self.failed.get())]
    }
}
