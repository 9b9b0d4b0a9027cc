//! The params as the web server gave them, read once.

use memchr::memchr2;

use super::EnvironError;
use super::known::Known;
use super::repeats::Seen;
use crate::Params;

/// The params, and where those stand that decide about others.
pub(super) struct Given<'p> {
    pub(super) params: &'p Params,
    pub(super) places: Places,
    /// Whether a name may stand twice; if so, all else here is in doubt.
    pub(super) may_repeat: bool,
}

impl<'p> Given<'p> {
    /// # Errors
    /// [`EnvironError`] when a name is none.
    pub(super) fn new(params: &'p Params) -> Result<Self, EnvironError> {
        let mut places = Places([usize::MAX; Known::COUNT]);
        let mut seen = Seen::default();
        let mut may_repeat = false;
        for (place, (name, _)) in params.iter().enumerate() {
            if let Some(known) = Known::of(name) {
                may_repeat |= places.set(known, place);
                continue;
            }
            let digest = Digest::of(name);
            if digest.is_bad {
                return Err(bad(name));
            }
            may_repeat |=
                seen.add(digest.hash, || params.iter().take(place).any(|(n, _)| n == name));
        }
        Ok(Self { params, places, may_repeat })
    }

    /// The value under this name, if there is one: an empty one is one.
    pub(super) fn get(&self, known: Known) -> Option<&'p [u8]> {
        self.params.value(self.places.get(known))
    }

    /// The value under this name, empty if there is none.
    pub(super) fn value(&self, known: Known) -> &'p [u8] {
        self.get(known).unwrap_or_default()
    }
}

/// Where each known name stands.
#[derive(Clone, Copy)]
pub(super) struct Places([usize; Known::COUNT]);

impl Places {
    /// Past all params where the name is absent.
    pub(super) fn get(&self, known: Known) -> usize {
        self.0.get(known as usize).copied().unwrap_or(usize::MAX)
    }

    /// Whether it had a place before.
    fn set(&mut self, known: Known, place: usize) -> bool {
        let slot = self.0.get_mut(known as usize);
        slot.is_some_and(|slot| std::mem::replace(slot, place) != usize::MAX)
    }
}

/// What can be told of a name at one look.
struct Digest {
    hash: u64,
    /// It is empty, or contains `=` or NUL.
    is_bad: bool,
}

impl Digest {
    /// Eight bytes at a time. Most names are 8 to 24 bytes long.
    #[inline]
    fn of(name: &[u8]) -> Self {
        let mut hash = name.len() as u64;
        let mut bad = 0;
        let mut take = |word: u64| {
            // Multiplication carries each bit up; the top bits are the ones used.
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bad |= zeros(word) | zeros(word ^ (ONES * b'=' as u64));
        };
        let (words, rest) = name.as_chunks();
        for &word in words {
            take(u64::from_le_bytes(word));
        }
        match name.last_chunk() {
            _ if rest.is_empty() => {}
            // Some bytes a second time.
            Some(&last) => take(u64::from_le_bytes(last)),
            None => take(rest.iter().fold(u64::MAX, |word, &byte| word << 8 | u64::from(byte))),
        }
        Self { hash, is_bad: bad != 0 || name.is_empty() }
    }
}

/// 1 in each byte.
const ONES: u64 = u64::MAX / 0xff;

/// Not 0 if some byte of the word is 0 (Knuth, volume 4A, section 7.1.3).
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

#[cold]
fn bad(name: &[u8]) -> EnvironError {
    if name.is_empty() {
        return EnvironError::EmptyName;
    }
    debug_assert!(memchr2(b'=', 0, name).is_some());
    let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
    EnvironError::BadName { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_byte_is_found_wherever_it_stands() {
        for len in 1..40 {
            let good = vec![b'<'; len];
            assert!(!Digest::of(&good).is_bad, "{len}");
            for (at, byte) in (0..len).flat_map(|at| [(at, b'='), (at, 0)]) {
                let mut name = good.clone();
                name[at] = byte;
                assert!(Digest::of(&name).is_bad, "{byte} at {at} of {len}");
            }
            for byte in [1, b'>', 0x80, 0xbd, 0xff] {
                assert!(!Digest::of(&vec![byte; len]).is_bad, "{byte}");
            }
        }
        assert!(Digest::of(b"").is_bad);
    }

    #[test]
    fn a_repeated_name_is_noticed() {
        let params = |names: &[&str]| -> Params {
            names.iter().map(|name| (name.as_bytes(), &b""[..])).collect()
        };
        let may_repeat = |names: &[&str]| Given::new(&params(names)).unwrap().may_repeat;
        assert!(!may_repeat(&["HTTP_A", "SERVER_NAME", "HTTP_B", "HTTP_HOST"]));
        assert!(may_repeat(&["SERVER_NAME", "HTTP_A", "SERVER_NAME"]));
        assert!(may_repeat(&["HTTP_A", "SERVER_NAME", "HTTP_A"]));
    }
}
