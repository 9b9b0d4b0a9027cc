//! What a request has cost, told with its answer if the gateway asks for it.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// The length of a cost as it travels.
pub(crate) const LENGTH: usize = 24;

/// CPU time of the app thread in this request, and what its process has needed.
/// A worker may say anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// In user mode, in microseconds.
    pub user: u64,
    /// In kernel mode, in microseconds.
    pub system: u64,
    /// The most resident memory that the process ever had, in bytes.
    pub peak: u64,
}

impl Cost {
    /// What this thread has cost so far. A system call.
    pub(crate) fn so_far() -> Self {
        // It can't fail: a thread may always ask for itself.
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Self::default() };
        let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
        Self {
            user: micros(usage.user_time()),
            system: micros(usage.system_time()),
            // In KiB.
            peak: u64::try_from(usage.max_rss()).unwrap_or(0).saturating_mul(1024),
        }
    }

    /// What has been added since it was so much.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            peak: self.peak,
        }
    }

    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let numbers = [self.user, self.system, self.peak];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes
    }

    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let [user, system, peak] = bytes.as_chunks::<8>().0 else { return None };
        let [user, system, peak] = [user, system, peak].map(|b| u64::from_le_bytes(*b));
        Some(Self { user, system, peak })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_costs_what_it_computes() {
        let before = Cost::so_far();
        let cost = loop {
            std::hint::black_box((0..10_000).sum::<u64>());
            let cost = Cost::so_far().since(before);
            if cost.user + cost.system > 30_000 {
                break cost;
            }
        };
        assert!(cost.peak > 1 << 20 && cost.user + cost.system < 10_000_000, "{cost:?}");
        assert_eq!(Cost::decode(&cost.encode()), Some(cost));
        assert_eq!(Cost::decode(&[0; 8]), None);
    }
}
