//! What keeps workers that were started together from being due together.

/// A number from 0 to `most`, the same for the same worker each time: decisions
/// stay pure. (SplitMix64 of the worker's number.)
pub(crate) const fn jitter(worker: u64, most: u64) -> u64 {
    let mut x = worker.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    match most.checked_add(1) {
        Some(numbers) => x % numbers,
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn workers_are_spread_over_the_whole_range() {
        let seen: BTreeSet<u64> = (1..=200).map(|worker| jitter(worker, 9)).collect();
        assert_eq!(seen, (0..=9).collect());
        assert!((1..100).all(|worker| jitter(worker, 0) == 0));
        assert!((1..100).any(|worker| jitter(worker, u64::MAX) > u64::MAX / 2));
    }
}
