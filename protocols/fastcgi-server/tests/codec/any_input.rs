//! Arbitrary and mutated input. The fuzz targets run the same checks for longer.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::checks::{ask, serve};
use crate::corpus;

/// A stream of the corpus with some bytes changed. Long ones are cut.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let streams: Vec<Vec<u8>> =
        corpus::files().into_iter().map(|(_, script)| script.bytes()).collect();
    let changes = vec((any::<Index>(), any::<u8>()), 0..6);
    (select(streams), changes).prop_map(|(mut stream, changes)| {
        stream.truncate(4096);
        for (at, byte) in changes.iter().filter(|_| !stream.is_empty()).collect::<Vec<_>>() {
            let at = at.index(stream.len());
            stream[at] = *byte;
        }
        stream
    })
}

/// Records with random headers of version 1: deeper than random bytes get.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let record = (0..13u8, 0..4u8, vec(any::<u8>(), 0..24), 0..9u8);
    vec(record, 0..40).prop_map(|records| {
        let mut out = Vec::new();
        for (kind, id, content, padding) in records {
            out.extend([1, kind, 0, id, 0, content.len() as u8, padding, 0]);
            out.extend(content);
            out.extend(vec![0; usize::from(padding)]);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_input_panics(
        input in prop_oneof![vec(any::<u8>(), 0..300), records(), mutated()],
        part in 1..64usize,
    ) {
        serve(&input, part);
        ask(&input, part);
    }
}
