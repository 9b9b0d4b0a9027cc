//! When an app thread did what with a request, told with its answer if the gateway
//! asks for it.

use rustix::time::{ClockId, clock_gettime};

/// The length of times as they travel.
pub(crate) const LENGTH: usize = 24;

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
}

impl Times {
    /// Claimed just now. A request that is not begun has no time in the app.
    pub(crate) fn claimed() -> Self {
        let now = now();
        Self { claimed: now, begun: now, ended: now }
    }

    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let moments = [self.claimed, self.begun, self.ended];
        for (place, moment) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(moments) {
            *place = moment.to_le_bytes();
        }
        bytes
    }

    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let [claimed, begun, ended] = bytes.as_chunks::<8>().0 else { return None };
        let [claimed, begun, ended] = [claimed, begun, ended].map(|b| u64::from_le_bytes(*b));
        Some(Self { claimed, begun, ended })
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
        let times = Times { claimed: 1, begun: u64::MAX, ended: now() };
        assert_eq!(Times::decode(&times.encode()), Some(times));
        assert_eq!(Times::decode(&times.encode()[1..]), None);
    }
}
