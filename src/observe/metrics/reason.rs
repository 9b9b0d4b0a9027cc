//! Why flupd answered a request by itself.

use super::Cell;

/// Why flupd answered a request by itself. The order is that of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The web server sent what no request can be made of.
    BadRequest,
    /// No app has the host and the path.
    NoApp,
    /// The rest of the request did not come.
    ReadTimeout,
    /// Past `--max-body`.
    BodyTooLarge,
    /// Past `--max-params`.
    ParamsTooLarge,
    /// The body could not be stored.
    SpoolFailed,
    /// The app ended its answer before it had begun.
    NoAnswer,
    /// The operating system did not let it go to a worker.
    NotHandedOver,
    /// The worker died with it inside.
    WorkerLost,
    /// Past `--queue`.
    QueueFull,
    /// Past `--queue-timeout`.
    QueueTimeout,
    /// Past `--request-timeout`.
    RequestTimeout,
    /// No worker can start the app.
    AppUnavailable,
}

impl Reason {
    /// As a label.
    #[must_use]
    pub fn label(self) -> &'static str {
        Self::LABELS.get(self as usize).copied().unwrap_or("other")
    }

    const COUNT: usize = Self::LABELS.len();

    const LABELS: [&'static str; 13] = [
        "bad_request",
        "no_app",
        "read_timeout",
        "body_too_large",
        "params_too_large",
        "spool_failed",
        "no_answer",
        "not_handed_over",
        "worker_lost",
        "queue_full",
        "queue_timeout",
        "request_timeout",
        "app_unavailable",
    ];
}

/// How often there was each reason.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Reasons([Cell; Reason::COUNT]);

impl Reasons {
    /// Once more.
    pub fn count(&self, reason: Reason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.add(1);
        }
    }

    /// How many there were in all.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.wrapping_add(count.get()))
    }

    /// All of them, in the order of the labels.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter()
    }

    /// All of them, with their labels.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::LABELS.into_iter().zip(self.0.iter().map(Cell::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_label() {
        let reasons = Reasons::default();
        reasons.count(Reason::QueueFull);
        let told: Vec<_> = reasons.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("queue_full", 1)]);
        assert_eq!(Reason::LABELS[Reason::AppUnavailable as usize], "app_unavailable");
        assert_eq!(Reason::AppUnavailable as usize + 1, Reason::COUNT);
    }
}
