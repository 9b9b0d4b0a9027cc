//! Numbers that nobody else has and nobody can guess: ids of requests.

use std::cell::Cell;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

/// Makes ids: a keyed hash of a counter, with a key of the operating system's.
#[derive(Debug, Default)]
pub struct Ids {
    key: RandomState,
    next: Cell<u64>,
}

impl Ids {
    /// 64 bits, not all of them zero.
    pub fn short(&self) -> u64 {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        self.key.hash_one(count).max(1)
    }

    /// 128 bits, not all of them zero.
    pub fn long(&self) -> u128 {
        u128::from(self.short()) << 64 | u128::from(self.short())
    }

    /// An id as nginx's `$request_id` looks: 32 digits.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(32);
        // Writing to a text does not fail.
        let _ = write!(text, "{:032x}", self.long());
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn none_is_there_twice() {
        let (ids, others) = (Ids::default(), Ids::default());
        let all: BTreeSet<_> = (0..1000).flat_map(|_| [ids.text(), others.text()]).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
