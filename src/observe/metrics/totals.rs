//! What an app's requests have come to, for a [`Snapshot`](crate::observe::snapshot).

use super::AppMetrics;
use super::histogram::BOUNDS;
use crate::observe::snapshot::{Bucket, Totals};

impl AppMetrics {
    /// All that have ended so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (mut requests, mut errors) = (0, 0);
        for (ending, count) in self.requests() {
            requests += count;
            if matches!(ending, "5xx" | "cut") {
                errors += count;
            }
        }
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let counts = bounds.zip(self.duration.counts());
        let durations = counts.map(|(up_to_ms, count)| Bucket { up_to_ms, count }).collect();
        Totals { requests, errors, refused: self.refused.sum(), durations }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Ending;
    use super::*;

    #[test]
    fn errors_are_5xx_and_cut_answers() {
        let app = AppMetrics::new("shop");
        for ending in [Ending::Answered(2), Ending::Answered(5), Ending::Cut, Ending::Cancelled] {
            app.ended(ending, Duration::from_millis(70_000), None);
        }
        app.ended(Ending::Answered(4), Duration::from_millis(1), None);
        let totals = app.totals();
        assert_eq!((totals.requests, totals.errors), (5, 2));
        assert_eq!(totals.durations.first(), Some(&Bucket { up_to_ms: Some(1), count: 1 }));
        assert_eq!(totals.durations.last(), Some(&Bucket { up_to_ms: None, count: 4 }));
    }
}
