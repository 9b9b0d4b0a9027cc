//! Waiting for what is expected to happen.

use std::path::Path;
use std::time::{Duration, Instant};

/// Far longer than anything takes, on a busy machine too. Only a broken test
/// gets to see it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Returns once `condition` holds.
///
/// Panics with `what` when it does not within [`DEADLINE`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || condition().then_some(()));
}

/// Returns what `probe` finds, once it finds something.
///
/// Panics with `what` when it does not within [`DEADLINE`].
pub fn until_some<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does it again and again, until it takes less than a tenth of a second: what is
/// prompt may take longer at times on a busy machine, but not each time.
pub fn until_prompt(what: &str, mut work: impl FnMut()) {
    until(&format!("{what} takes less than 100 ms"), || {
        let begun = Instant::now();
        work();
        begun.elapsed() < Duration::from_millis(100)
    });
}

/// Returns once the file exists.
pub fn until_exists(path: &Path) {
    until(&format!("the file {} appears", path.display()), || path.exists());
}
