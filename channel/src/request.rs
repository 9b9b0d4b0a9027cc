//! How params travel: a table of where each pair lies, then the buffer in which
//! all of them lie, as the codec has it.
//!
//! ```text
//! u32 number of pairs · for each: u32 name at, length, value at, length · bytes
//! ```

use cgi::Params;

use crate::ChannelError;

/// A pair's entry in the table, in bytes.
const ENTRY: usize = 16;

/// The encoded length of params in bytes.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) const fn encoded_length(params: &Params) -> usize {
    4 + params.len() * ENTRY + params.bytes().len()
}

/// Puts the table into `out`, in place of what is there. The buffer follows it.
#[cfg_attr(not(feature = "gateway"), allow(dead_code))]
pub(crate) fn table(params: &Params, out: &mut Vec<u8>) {
    out.clear();
    out.reserve(4 + params.len() * ENTRY);
    // Codecs bound params to far below 4 GiB.
    out.extend_from_slice(&(params.len() as u32).to_le_bytes());
    for [a, b, c, d] in params.spans() {
        let [a, b, c, d] = [a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_le_bytes()];
        out.extend_from_slice([a, b, c, d].as_flattened());
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
    /// Where the buffer begins: behind the table.
    at: usize,
}

/// One name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'p> {
    name: &'p [u8],
    value: &'p [u8],
}

impl<'p> Pair<'p> {
    /// The name.
    #[must_use]
    pub const fn name(self) -> &'p [u8] {
        self.name
    }

    /// The value.
    #[must_use]
    pub const fn value(self) -> &'p [u8] {
        self.value
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

    fn table(&self) -> &[[u8; ENTRY]] {
        self.bytes.get(4..self.at).unwrap_or_default().as_chunks().0
    }

    /// How many pairs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().len()
    }

    /// The length of each name in bytes.
    pub fn name_lengths(&self) -> impl Iterator<Item = usize> {
        self.table().iter().map(|&entry| Entry::from(entry).name.1)
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Pair<'_>> {
        let buffer = self.bytes.get(self.at..).unwrap_or_default();
        self.table().iter().map(move |&entry| {
            let Entry { name, value } = entry.into();
            Pair { name: cut(buffer, name), value: cut(buffer, value) }
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

/// Where a pair lies in the buffer: at which byte each part begins, and its length.
struct Entry {
    name: (usize, usize),
    value: (usize, usize),
}

impl From<[u8; ENTRY]> for Entry {
    fn from([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: [u8; ENTRY]) -> Self {
        let word = |bytes| u32::from_le_bytes(bytes) as usize;
        Self {
            name: (word([a, b, c, d]), word([e, f, g, h])),
            value: (word([i, j, k, l]), word([m, n, o, p])),
        }
    }
}

/// A part of the buffer; `checked` has seen that it lies inside.
fn cut(buffer: &[u8], (at, length): (usize, usize)) -> &[u8] {
    buffer.get(at..at + length).unwrap_or_default()
}

/// Where the buffer begins, if all pairs lie inside it.
fn checked(bytes: &[u8]) -> Option<usize> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let table = (u32::from_le_bytes(*count) as usize).checked_mul(ENTRY)?;
    let (table_bytes, buffer) = rest.split_at_checked(table)?;
    // Cannot overflow: each number is below 4 GiB.
    let inside = |(at, length): (usize, usize)| at + length <= buffer.len();
    let entries = table_bytes.as_chunks::<ENTRY>().0.iter();
    let all = entries
        .map(|&e| Entry::from(e))
        .fold(true, |all, entry| all & inside(entry.name) & inside(entry.value));
    all.then_some(4 + table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(params: &Params) -> Vec<u8> {
        let mut encoded = Vec::new();
        table(params, &mut encoded);
        encoded.extend_from_slice(params.bytes());
        encoded
    }

    fn refill(params: &mut EncodedParams, encoded: &[u8]) -> Result<(), ChannelError> {
        params.refill(|out| {
            out.extend_from_slice(encoded);
            Ok(())
        })
    }

    #[test]
    fn params_survive_the_way() {
        let params: Params =
            [(&b"A"[..], &b"1"[..]), (b"EMPTY", b""), (b"X", b"\xff\x00")].into_iter().collect();
        let encoded = encoded(&params);
        assert_eq!(encoded.len(), encoded_length(&params));
        let mut back = EncodedParams::default();
        for cut in 0..encoded.len() {
            assert!(refill(&mut back, &encoded[..cut]).is_err(), "{cut}");
            assert_eq!((back.iter().count(), back.count(), back.get(b"A")), (0, 0, None));
        }
        refill(&mut back, &encoded).unwrap();
        let pairs: Vec<_> = back.iter().map(|pair| (pair.name(), pair.value())).collect();
        assert_eq!(pairs, params.iter().collect::<Vec<_>>());
        assert_eq!((back.get(b"X"), back.count()), (Some(&b"\xff\x00"[..]), 3));
        assert_eq!(back.name_lengths().collect::<Vec<_>>(), [1, 5, 1]);
    }

    #[test]
    fn spans_share_bytes_and_leave_some_out() {
        let mut params = Params::over(b"??PATH=/a/b?c".to_vec());
        params.push_span(2..6, 7..11).unwrap();
        params.push_span(2..6, 9..11).unwrap();
        let mut back = EncodedParams::default();
        refill(&mut back, &encoded(&params)).unwrap();
        let values: Vec<_> = back.iter().map(Pair::value).collect();
        assert_eq!(values, [&b"/a/b"[..], b"/b"]);
    }

    #[test]
    fn a_pair_past_the_end_is_refused() {
        let good = encoded(&[(&b"A"[..], &b"1"[..])].into_iter().collect());
        for word in 1..5 {
            let mut bad = good.clone();
            bad[word * 4..word * 4 + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert!(refill(&mut EncodedParams::default(), &bad).is_err(), "{word}");
        }
    }
}
