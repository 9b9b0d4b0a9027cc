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
            if !digest.is_plain {
                check(name)?;
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
    /// It is made of letters and `_`, as most names: there is no need to look for
    /// `=` and NUL, for the bit 0x40 that they lack is in all its bytes.
    is_plain: bool,
}

impl Digest {
    /// Eight bytes at a time. Most names are 8 to 24 bytes long.
    #[inline]
    fn of(name: &[u8]) -> Self {
        let mut hash = name.len() as u64;
        let mut common = if name.is_empty() { 0 } else { u64::MAX };
        let mut take = |word: u64| {
            // Multiplication carries each bit up; the top bits are the ones used.
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            common &= word;
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
        Self { hash, is_plain: common & BITS == BITS }
    }
}

/// The bit in each byte.
const BITS: u64 = u64::MAX / 0xff * 0x40;

fn check(name: &[u8]) -> Result<(), EnvironError> {
    if name.is_empty() {
        return Err(EnvironError::EmptyName);
    }
    if memchr2(b'=', 0, name).is_some() {
        let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
        return Err(EnvironError::BadName { name });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_never_plain() {
        for len in 1..40 {
            let good = vec![b'_'; len];
            assert!(Digest::of(&good).is_plain, "{len}");
            for (at, byte) in (0..len).flat_map(|at| [(at, b'='), (at, 0)]) {
                let mut name = good.clone();
                name[at] = byte;
                assert!(!Digest::of(&name).is_plain, "{byte} at {at} of {len}");
            }
        }
        assert!(!Digest::of(b"").is_plain);
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
