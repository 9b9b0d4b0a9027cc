//! The end of loops that run beside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when dropped, also when the test fails: clients that look at it
/// end.
pub struct Stop<'a>(&'a AtomicBool);

impl<'a> Stop<'a> {
    /// Sets this flag.
    pub fn new(flag: &'a AtomicBool) -> Self {
        Self(flag)
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
