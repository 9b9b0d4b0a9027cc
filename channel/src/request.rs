//! How params travel: the number of pairs, all their lengths, then the bytes.

use cgi::Params;

use crate::ChannelError;

/// The encoded length of params in bytes.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn encoded_length(params: &Params) -> usize {
    4 + params.len() * 8
        + params.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// Appends the encoded params.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn encode(params: &Params, out: &mut Vec<u8>) {
    // Codecs bound params to far below 4 GiB.
    let word = |n: usize| (n as u32).to_le_bytes();
    out.extend_from_slice(&word(params.len()));
    for (name, value) in params {
        out.extend_from_slice(&word(name.len()));
        out.extend_from_slice(&word(value.len()));
    }
    for (name, value) in params {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

/// The params of a request as they travel: names and values, in order.
///
/// They are read where they were copied to. Given to [`Port::receive_into`]
/// again, their memory is used for the next request's.
///
/// [`Port::receive_into`]: crate::worker::Port::receive_into
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedParams {
    bytes: Vec<u8>,
    /// Where the names and values begin: behind the lengths.
    at: usize,
}

/// One name and its value, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'p> {
    name: usize,
    bytes: &'p [u8],
}

impl<'p> Pair<'p> {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'p [u8] {
        &self.bytes[..self.name]
    }

    /// The value.
    #[must_use]
    pub fn value(self) -> &'p [u8] {
        &self.bytes[self.name..]
    }
}

impl EncodedParams {
    /// Replaces all bytes by those that `fill` appends.
    ///
    /// # Errors
    /// What `fill` returns; [`ChannelError::Broken`] when the bytes are not
    /// params. No params are left then.
    pub(crate) fn refill(
        &mut self,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), ChannelError>,
    ) -> Result<(), ChannelError> {
        self.at = 0;
        self.bytes.clear();
        fill(&mut self.bytes)?;
        match checked(&self.bytes) {
            Some(at) => {
                self.at = at;
                Ok(())
            }
            None => Err(ChannelError::Broken("a request's params are not as long as they say")),
        }
    }

    /// The length of each name and of each value, in bytes.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = (usize, usize)> + use<'_> {
        let table = self.bytes.get(4..self.at).unwrap_or_default();
        table.as_chunks::<8>().0.iter().map(|entry| lengths(*entry))
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Pair<'_>> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        self.lengths().map(move |(name, value)| {
            // `refill` has checked that they fit.
            let (bytes, behind) = rest.split_at(name + value);
            rest = behind;
            Pair { name, bytes }
        })
    }

    /// The value of the first pair of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|pair| pair.name() == name).map(Pair::value)
    }

    /// How many bytes all of them take.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }
}

fn lengths(entry: [u8; 8]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = entry;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
}

/// Where the names and values begin, if they are exactly as long as is said.
fn checked(bytes: &[u8]) -> Option<usize> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let index = (u32::from_le_bytes(*count) as usize).checked_mul(8)?;
    let (table, text) = rest.split_at_checked(index)?;
    let entries = table.as_chunks::<8>().0.iter();
    // Cannot overflow: each length is below 4 GiB, and their number, too.
    let total: u64 = entries.map(|&entry| lengths(entry)).map(|(n, v)| n as u64 + v as u64).sum();
    (total == text.len() as u64).then_some(4 + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_survive_the_way() {
        let params: Params =
            [(&b"A"[..], &b"1"[..]), (b"EMPTY", b""), (b"X", b"\xff\x00")].into_iter().collect();
        let mut encoded = Vec::new();
        encode(&params, &mut encoded);
        assert_eq!(encoded.len(), encoded_length(&params));
        let mut back = EncodedParams::default();
        for cut in 0..encoded.len() {
            let fill = |out: &mut Vec<u8>| {
                out.extend_from_slice(&encoded[..cut]);
                Ok(())
            };
            assert!(back.refill(fill).is_err(), "{cut}");
            assert_eq!((back.iter().count(), back.get(b"A")), (0, None));
        }
        let fill = |out: &mut Vec<u8>| {
            out.extend_from_slice(&encoded);
            Ok(())
        };
        back.refill(fill).unwrap();
        let pairs: Vec<_> = back.iter().map(|pair| (pair.name(), pair.value())).collect();
        assert_eq!(pairs, params.iter().collect::<Vec<_>>());
        assert_eq!(back.get(b"X"), Some(&b"\xff\x00"[..]));
        assert_eq!(back.lengths().collect::<Vec<_>>(), [(1, 1), (5, 0), (1, 2)]);
    }
}
