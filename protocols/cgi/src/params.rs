//! An ordered list of name/value byte strings in one flat buffer.

use std::fmt;
use std::ops::Range;

/// The params of one request: CGI meta-variables in the order the web server
/// sent them, duplicates included.
///
/// All bytes stand in one buffer; a pair is a span in it. A codec that already
/// holds the whole block can hand the buffer over and index it with
/// [`Params::push_span`], without copying.
#[derive(Clone, Default)]
pub struct Params {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    name_at: u32,
    name_len: u32,
    value_at: u32,
    value_len: u32,
}

impl Span {
    fn name<'p>(&self, bytes: &'p [u8]) -> &'p [u8] {
        cut(bytes, self.name_at, self.name_len)
    }

    fn value<'p>(&self, bytes: &'p [u8]) -> &'p [u8] {
        cut(bytes, self.value_at, self.value_len)
    }
}

/// A part of the buffer. Every span was checked when it was made.
#[inline]
fn cut(bytes: &[u8], at: u32, len: u32) -> &[u8] {
    let at = at as usize;
    bytes.get(at..at + len as usize).unwrap_or_default()
}

/// A span that [`Params::push_span`] refused: it does not lie inside the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanOutside;

impl Params {
    /// No pairs, no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new() }
    }

    /// No pairs, with room for this many of them and their bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize, pairs: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(pairs) }
    }

    /// Takes over a buffer that already holds the names and values. No pair
    /// exists until [`Params::push_span`] names it.
    #[must_use]
    pub const fn over(bytes: Vec<u8>) -> Self {
        Self { bytes, spans: Vec::new() }
    }

    /// The whole buffer, with whatever a codec left between the pairs.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Makes room for this many more pairs.
    pub fn reserve(&mut self, pairs: usize) {
        self.spans.reserve(pairs);
    }

    /// Adds the pair whose name and value lie at these byte ranges of the buffer.
    ///
    /// # Errors
    /// [`SpanOutside`] when a range ends past the buffer, or past 4 GiB.
    #[inline]
    pub fn push_span(
        &mut self,
        name: Range<usize>,
        value: Range<usize>,
    ) -> Result<(), SpanOutside> {
        let (name_at, name_len) = self.checked(&name)?;
        let (value_at, value_len) = self.checked(&value)?;
        self.spans.push(Span { name_at, name_len, value_at, value_len });
        Ok(())
    }

    /// Adds the pair whose name begins here in the buffer and whose value follows
    /// at once, and says where that ends. Lengths are in bytes.
    ///
    /// # Errors
    /// [`SpanOutside`] when they end past the buffer, or past 4 GiB.
    #[inline]
    pub fn push_adjacent(
        &mut self,
        name_at: usize,
        name_len: u32,
        value_len: u32,
    ) -> Result<usize, SpanOutside> {
        let at = u32::try_from(name_at).map_err(|_| SpanOutside)?;
        let value_at = at.checked_add(name_len).ok_or(SpanOutside)?;
        let end = value_at.checked_add(value_len).ok_or(SpanOutside)? as usize;
        if end > self.bytes.len() {
            return Err(SpanOutside);
        }
        self.spans.push(Span { name_at: at, name_len, value_at, value_len });
        Ok(end)
    }

    #[inline]
    fn checked(&self, range: &Range<usize>) -> Result<(u32, u32), SpanOutside> {
        let len = range.end.checked_sub(range.start).ok_or(SpanOutside)?;
        if range.end > self.bytes.len() {
            return Err(SpanOutside);
        }
        let at = u32::try_from(range.start).map_err(|_| SpanOutside)?;
        Ok((at, u32::try_from(len).map_err(|_| SpanOutside)?))
    }

    /// Appends a pair, copying it.
    ///
    /// A pair that would carry the buffer past 4 GiB is left out; every codec's
    /// limit is far below that.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.append(name), self.append(value));
        let at = name.start;
        if self.push_span(name, value).is_err() {
            self.bytes.truncate(at);
        }
    }

    /// Gives the first pair of this name another value; adds one if there is none.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.spans.iter().position(|span| self.has_name(span, name)) {
            None => self.push(name, value),
            Some(place) => {
                let value = self.append(value);
                let at = value.start;
                if self.set_value(place, value).is_err() {
                    self.bytes.truncate(at);
                }
            }
        }
    }

    /// Removes all pairs of this name; the others keep their order.
    pub fn remove(&mut self, name: &[u8]) {
        let Self { bytes, spans } = self;
        spans.retain(|span| span.name(bytes) != name);
    }

    /// The value of the first pair of this name.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let span = self.spans.iter().find(|span| self.has_name(span, name))?;
        Some(span.value(&self.bytes))
    }

    /// The value of the last pair of this name: the one that counts where a name
    /// stands twice.
    #[inline]
    #[must_use]
    pub fn last(&self, name: &[u8]) -> Option<&[u8]> {
        let span = self.spans.iter().rfind(|span| self.has_name(span, name))?;
        Some(span.value(&self.bytes))
    }

    /// Lengths first: they mostly differ, and need no look at the bytes.
    #[inline]
    fn has_name(&self, span: &Span, name: &[u8]) -> bool {
        span.name_len as usize == name.len() && span.name(&self.bytes) == name
    }

    /// The pairs in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> ParamsIter<'_> {
        ParamsIter { bytes: &self.bytes, spans: self.spans.iter() }
    }

    /// Where each pair lies in [`Params::bytes`]: where its name begins, the name's
    /// length, where its value begins, and the value's length.
    #[inline]
    pub fn spans(&self) -> impl ExactSizeIterator<Item = [u32; 4]> {
        self.spans.iter().map(|s| [s.name_at, s.name_len, s.value_at, s.value_len])
    }

    /// How many pairs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no pair.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Forgets all pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// The value of the pair in this place.
    pub(crate) fn value(&self, place: usize) -> Option<&[u8]> {
        self.spans.get(place).map(|span| span.value(&self.bytes))
    }

    /// Where in the buffer these bytes lie, if they are a part of it.
    pub(crate) fn place_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let at = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let end = at.checked_add(part.len())?;
        (end <= self.bytes.len()).then_some(at..end)
    }

    /// Adds bytes that no pair names yet, and says where they lie.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        at..self.bytes.len()
    }

    /// Lets the pair in this place have the value at this byte range.
    ///
    /// # Errors
    /// As [`Params::push_span`].
    pub(crate) fn set_value(
        &mut self,
        place: usize,
        value: Range<usize>,
    ) -> Result<(), SpanOutside> {
        let (at, len) = self.checked(&value)?;
        if let Some(span) = self.spans.get_mut(place) {
            (span.value_at, span.value_len) = (at, len);
        }
        Ok(())
    }

    /// Removes the pair in this place; the last one takes it, all others stay
    /// where they are.
    pub(crate) fn swap_remove(&mut self, place: usize) {
        if place < self.spans.len() {
            self.spans.swap_remove(place);
        }
    }
}

/// Equal when the same pairs stand in the same order, wherever their bytes lie.
impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

impl<'p> IntoIterator for &'p Params {
    type Item = (&'p [u8], &'p [u8]);
    type IntoIter = ParamsIter<'p>;

    fn into_iter(self) -> ParamsIter<'p> {
        self.iter()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Params {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        let mut params = Self::new();
        for (name, value) in pairs {
            params.push(name, value);
        }
        params
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(n, v)| (text(n), text(v)))).finish()
    }
}

/// The pairs of [`Params`] in order, as `(name, value)`.
#[derive(Clone)]
pub struct ParamsIter<'p> {
    bytes: &'p [u8],
    spans: std::slice::Iter<'p, Span>,
}

impl<'p> Iterator for ParamsIter<'p> {
    type Item = (&'p [u8], &'p [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let span = self.spans.next()?;
        Some((span.name(self.bytes), span.value(self.bytes)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for ParamsIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_duplicates() {
        let mut params = Params::new();
        params.push(b"A", b"1");
        params.push(b"B", b"");
        params.push(b"A", b"2");
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(pairs, [(&b"A"[..], &b"1"[..]), (b"B", b""), (b"A", b"2")]);
        assert_eq!(params.get(b"A"), Some(&b"1"[..]));
        assert_eq!(params.last(b"A"), Some(&b"2"[..]));
        assert_eq!((params.get(b"C"), params.last(b"C")), (None, None));
    }

    #[test]
    fn a_value_is_set_and_a_name_removed() {
        let mut params: Params = [(&b"A"[..], &b"1"[..]), (b"B", b"2"), (b"C", b"3"), (b"B", b"4")]
            .into_iter()
            .collect();
        params.set(b"A", b"long");
        params.set(b"D", b"new");
        params.remove(b"B");
        params.remove(b"E");
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(pairs, [(&b"A"[..], &b"long"[..]), (b"C", b"3"), (b"D", b"new")]);
    }

    #[test]
    fn refuses_a_span_outside_the_buffer() {
        let mut params = Params::over(b"AB1".to_vec());
        assert_eq!(params.push_span(0..2, 2..3), Ok(()));
        assert_eq!(params.push_span(0..2, 2..4), Err(SpanOutside));
        assert_eq!(params.push_span(1..2, 3..3), Ok(()));
        assert_eq!(params.push_adjacent(0, 2, 1), Ok(3));
        assert_eq!(params.push_adjacent(1, 2, 1), Err(SpanOutside));
        assert_eq!(params.push_adjacent(1, 1, u32::MAX), Err(SpanOutside));
        assert_eq!(params.push_adjacent(usize::MAX, 0, 0), Err(SpanOutside));
        assert_eq!(params.get(b"AB"), Some(&b"1"[..]));
        assert_eq!(params.len(), 3);
    }
}
