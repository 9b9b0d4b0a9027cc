//! Names that stand more than once.

use crate::Params;

/// Which names there were, roughly: a filter that never overlooks a repeated
/// name and seldom suspects another.
pub(super) struct Seen {
    bits: [u64; 16],
    /// How many more names may be compared with all others. A client can make a
    /// web server send thousands: then it is cheaper to sort them.
    doubts_left: u8,
}

impl Default for Seen {
    fn default() -> Self {
        Self { bits: [0; 16], doubts_left: 8 }
    }
}

impl Seen {
    /// Whether a name with this hash was added before, as far as can be told.
    /// `look` compares the name with all others, in case of doubt.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, look: impl FnOnce() -> bool) -> bool {
        let (word, bit) = ((hash >> 60) as usize, 1 << (hash >> 54 & 63));
        let Some(word) = self.bits.get_mut(word) else { return true };
        if *word & bit == 0 {
            *word |= bit;
            return false;
        }
        match self.doubts_left.checked_sub(1) {
            Some(left) => {
                self.doubts_left = left;
                look()
            }
            None => true,
        }
    }
}

/// The params with each name once, where it stood first.
///
/// Repeated `HTTP_*` are joined (RFC 9110, section 5.3); of other names the last
/// value counts.
#[cold]
pub(super) fn joined(params: &Params) -> Params {
    // Sorting finds all repeats without comparing each name with each. It is
    // stable, so pairs of one name keep their order.
    let mut pairs: Vec<_> = params.iter().enumerate().collect();
    pairs.sort_by_key(|&(_, (name, _))| (name.len(), name));
    let same = |a: &Pair<'_>, b: &Pair<'_>| a.1.0 == b.1.0;
    let mut groups: Vec<_> = pairs.chunk_by(same).collect();
    groups.sort_unstable_by_key(|group| group.first().map(|&(place, _)| place));
    let mut out = Params::with_capacity(params.bytes().len(), groups.len() + 8);
    for group in groups {
        match *group {
            [(_, (name, _)), .., (_, (_, last))] if !name.starts_with(b"HTTP_") => {
                out.push(name, last);
            }
            [(_, (name, _)), _, ..] => {
                let separator: &[u8] = if name == b"HTTP_COOKIE" { b"; " } else { b", " };
                let values: Vec<_> = group.iter().map(|&(_, (_, value))| value).collect();
                out.push(name, &values.join(separator));
            }
            [(_, (name, value))] => out.push(name, value),
            [] => {}
        }
    }
    out
}

/// A pair and its place.
type Pair<'p> = (usize, (&'p [u8], &'p [u8]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stays_where_it_stood_first() {
        let params = |pairs: &[(&str, &str)]| -> Params {
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
        };
        let sent = [
            ("HTTP_X", "1"),
            ("B", "1"),
            ("HTTP_COOKIE", "1"),
            ("A", "1"),
            ("B", "2"),
            ("HTTP_X", "2"),
            ("HTTP_COOKIE", "2"),
            ("HTTP_X", "3"),
        ];
        let expected = [("HTTP_X", "1, 2, 3"), ("B", "2"), ("HTTP_COOKIE", "1; 2"), ("A", "1")];
        assert_eq!(joined(&params(&sent)), params(&expected));
    }
}
