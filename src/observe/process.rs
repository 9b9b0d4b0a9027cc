//! What the kernel knows of a process and its threads (proc(5)).
//!
//! Everybody may read it, unless `/proc` is mounted with `hidepid`.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads; in steps of 10 ms.
    pub cpu: Duration,
    /// Its resident memory in bytes.
    pub memory: u64,
}

impl Usage {
    /// Of this process; `None` if it can't be read, or has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(&format!("/proc/{pid}/stat"))?;
        let memory = stat.field(24)?.checked_mul(rustix::param::page_size() as u64)?;
        Some(Self { cpu: stat.cpu()?, memory })
    }
}

/// What a process has in memory, with what is shared divided by those that share it,
/// in bytes. The kernel walks all its pages for this, and asks who wants to know;
/// `None` if it does not say.
#[must_use]
pub fn proportional(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The CPU time of one thread so far; up to a tick of the kernel's clock (1 to
/// 10 ms) behind while it runs. `None` if it can't be read, or has ended.
#[must_use]
pub fn thread_cpu(pid: u32, tid: u32) -> Option<Duration> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat"));
    let nanos = schedstat.ok().and_then(|text| text.split(' ').next()?.parse().ok());
    // A kernel without these statistics says 0, or has no such file.
    match nanos {
        Some(nanos @ 1..) => Some(Duration::from_nanos(nanos)),
        _ => Stat::read(&format!("/proc/{pid}/task/{tid}/stat"))?.cpu(),
    }
}

/// A line of proc_pid_stat(5), from the third field on: what stands before is a
/// name that may have anything inside.
struct Stat(String);

impl Stat {
    fn read(path: &str) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        Some(Self(text.rsplit_once(')')?.1.to_owned()))
    }

    /// The field of this number, as the manual counts them.
    fn field(&self, number: usize) -> Option<u64> {
        self.0.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
    }

    /// In user and in kernel mode.
    fn cpu(&self) -> Option<Duration> {
        let ticks = self.field(14)?.checked_add(self.field(15)?)?;
        let millis =
            ticks.checked_mul(1000)?.checked_div(rustix::param::clock_ticks_per_second())?;
        Some(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_the_time_that_it_computes() {
        let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get());
        let tid = tid.cast_unsigned();
        let before = thread_cpu(pid, tid).unwrap();
        let least = Duration::from_millis(60);
        while thread_cpu(pid, tid).unwrap() < before + least {
            std::hint::black_box((0..10_000).sum::<u64>());
        }
        let usage = Usage::of(pid).unwrap();
        assert!(usage.cpu >= least && usage.memory > 1 << 20, "{usage:?}");
        assert!(proportional(pid).unwrap() <= usage.memory * 2, "{usage:?}");
        assert_eq!((thread_cpu(pid, 0), Usage::of(0), proportional(0)), (None, None, None));
    }

    #[test]
    fn a_name_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194304 0 0 0 0 150 25 0 0 20 0 1 0 9 4096 3 0";
        let stat = Stat(text.rsplit_once(')').unwrap().1.to_owned());
        assert_eq!((stat.field(4), stat.field(24)), (Some(1), Some(3)));
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(stat.cpu(), Some(Duration::from_millis(175_000 / ticks)));
    }
}
