//! Whether requests are observed, as they always are but in the benchmark that
//! measures what it costs.
//!
//! Without it there are no counts of requests, no flight recorder, and no time
//! limits, for nobody knows what an app thread does.

use std::sync::atomic::{AtomicBool, Ordering};

static OFF: AtomicBool = AtomicBool::new(false);

/// Reads `FLUPD_OBSERVE`, which is `off` in that benchmark only. Call it when the
/// process begins.
pub fn begin() {
    let off = std::env::var_os("FLUPD_OBSERVE").is_some_and(|value| value == "off");
    OFF.store(off, Ordering::Relaxed);
}

/// Whether requests are observed.
#[must_use]
pub fn is_on() -> bool {
    !OFF.load(Ordering::Relaxed)
}
