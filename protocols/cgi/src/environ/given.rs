//! The params as the web server gave them, ready to be looked up.

use crate::Params;

/// All pairs, sorted by name; pairs of one name keep their order.
///
/// Sorting finds every duplicate without comparing each name with each: a
/// client can make a web server send thousands.
pub(super) struct Given<'p>(Vec<(&'p [u8], &'p [u8])>);

impl<'p> Given<'p> {
    pub(super) fn new(params: &'p Params) -> Self {
        let mut pairs: Vec<_> = params.iter().collect();
        pairs.sort_by_key(|&(name, _)| name);
        Self(pairs)
    }

    /// The value that counts: the last of this name.
    pub(super) fn last(&self, name: &[u8]) -> Option<&'p [u8]> {
        let end = self.0.partition_point(|&(other, _)| other <= name);
        let &(found, value) = self.0.get(end.checked_sub(1)?)?;
        (found == name).then_some(value)
    }

    /// The pairs, those of one name together.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[(&'p [u8], &'p [u8])]> {
        self.0.chunk_by(|(a, _), (b, _)| a == b)
    }
}
