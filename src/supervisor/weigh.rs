//! How much memory workers have.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Supervisor;
use super::decide::Event;

/// How often they are weighed.
const EVERY: Duration = Duration::from_secs(1);

/// Ticks when it is time.
pub(super) fn scales() -> Interval {
    let mut scales = interval(EVERY);
    scales.set_missed_tick_behavior(MissedTickBehavior::Delay);
    scales
}

impl Supervisor<'_> {
    /// The resident memory of the workers of which it is of interest.
    pub(super) fn weigh(&self) -> Event {
        let size = |worker| Some((worker, resident(self.workers.get(&worker)?.pid()?)?));
        Event::Weighed(self.state.weighed().filter_map(size).collect())
    }
}

/// The resident set of a process in bytes (proc_pid_status(5)); none if it has
/// ended.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_memory_that_it_touches() {
        const MORE: usize = 64 << 20;
        let before = resident(std::process::id()).unwrap();
        let touched = std::hint::black_box(vec![1_u8; MORE]);
        let after = resident(std::process::id()).unwrap();
        assert!(after - before > MORE as u64 * 3 / 4, "{before} {after}");
        drop(touched);
        assert_eq!(resident(0), None);
    }
}
