//! When an app thread did what with a request, told with its answer if the gateway
//! asks for it.

use rustix::time::{ClockId, clock_gettime};

use crate::cost::{self, Cost};

/// The length of times as they travel, and with what the request has cost.
pub(crate) const LENGTH: usize = 24;
pub(crate) const MAX_LENGTH: usize = LENGTH + cost::LENGTH;

/// Moments of one request, in nanoseconds of `CLOCK_MONOTONIC`, which is the same
/// in all processes. A worker may say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The thread took it.
    pub claimed: u64,
    /// The thread had the interpreter, and the app began.
    pub begun: u64,
    /// The app had ended.
    pub ended: u64,
    /// What it has cost, if that was asked.
    pub cost: Option<Cost>,
}

impl Times {
    /// Claimed just now. A request that is not begun has no time in the app.
    pub(crate) fn claimed() -> Self {
        let now = now();
        Self { claimed: now, begun: now, ended: now, cost: None }
    }

    /// Its bytes, in the front of `bytes`.
    pub(crate) fn encode(self, bytes: &mut [u8; MAX_LENGTH]) -> &[u8] {
        let moments = [self.claimed, self.begun, self.ended];
        for (place, moment) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(moments) {
            *place = moment.to_le_bytes();
        }
        let Some(cost) = self.cost else { return &bytes[..LENGTH] };
        bytes[LENGTH..].copy_from_slice(&cost.encode());
        bytes
    }

    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, cost) = bytes.split_first_chunk::<LENGTH>()?;
        let cost = if cost.is_empty() { None } else { Some(Cost::decode(cost)?) };
        let [claimed, begun, ended] = bytes.as_chunks::<8>().0 else { return None };
        let [claimed, begun, ended] = [claimed, begun, ended].map(|b| u64::from_le_bytes(*b));
        Some(Self { claimed, begun, ended, cost })
    }
}

/// The present moment, on the clock of [`Times`].
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // It begins at 0 when the machine starts.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way() {
        for cost in [None, Some(Cost { user: 1, system: 2, peak: u64::MAX })] {
            let times = Times { claimed: 1, begun: u64::MAX, ended: now(), cost };
            let mut bytes = [0; MAX_LENGTH];
            let sent = times.encode(&mut bytes);
            assert_eq!(Times::decode(sent), Some(times));
            assert_eq!(Times::decode(&sent[1..]), None);
        }
    }
}
