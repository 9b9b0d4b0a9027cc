//! What both sides of a channel must have been built from: a number that changes
//! with every source file of the shared memory and of the messages.
//!
//! Libraries on disk can be replaced while flupd runs. A worker that is started
//! after that would be another's.

const SOURCES: [&[u8]; 18] = [
    include_bytes!("activity.rs"),
    include_bytes!("beside.rs"),
    include_bytes!("body.rs"),
    include_bytes!("cost.rs"),
    include_bytes!("frame.rs"),
    include_bytes!("layout.rs"),
    include_bytes!("ledger.rs"),
    include_bytes!("onlooker.rs"),
    include_bytes!("request.rs"),
    include_bytes!("ring.rs"),
    include_bytes!("role.rs"),
    include_bytes!("sleeper.rs"),
    include_bytes!("slot.rs"),
    include_bytes!("startup.rs"),
    include_bytes!("times.rs"),
    include_bytes!("waits.rs"),
    include_bytes!("probe/mod.rs"),
    include_bytes!("probe/turn.rs"),
];

/// The number of this build.
pub(crate) const FINGERPRINT: u64 = of(&SOURCES);

/// FNV-1a, 64 bits.
const fn of(sources: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = sources;
    while let [source, others @ ..] = rest {
        let mut bytes: &[u8] = source;
        while let [byte, more @ ..] = bytes {
            hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
            bytes = more;
        }
        rest = others;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_fnv() {
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
    }
}
