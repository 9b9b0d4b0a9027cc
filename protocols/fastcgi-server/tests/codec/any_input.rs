//! Arbitrary and mutated input: no panic, no limit passed, no byte lost. The
//! fuzz targets run the same bodies for longer.

use bytes::BytesMut;
use fastcgi_server::{Capabilities, Decoder, Event, Limits, Outcome, Roles, client};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::corpus;

const LIMITS: Limits = Limits { max_params: 512, max_requests: 3 };

/// Feeds the input in parts and checks what must hold whatever it is.
fn serve(input: &[u8], part: usize) {
    let capabilities =
        Capabilities { max_conns: 1, max_reqs: 3, mpxs_conns: true, roles: Roles::ALL };
    let mut decoder = Decoder::new(LIMITS, capabilities);
    for mut part in input.chunks(part) {
        loop {
            let mut owed = BytesMut::new();
            let Ok((n, outcome)) = decoder.decode(part, &mut owed) else { return };
            assert!(owed.len() <= 16 * (part.len() + 8), "{} bytes owed", owed.len());
            assert!(decoder.open_requests() <= usize::from(LIMITS.max_requests));
            part = part.get(n..).expect("no more consumed than there was");
            match outcome {
                Outcome::NeedMore => break assert!(part.is_empty()),
                Outcome::Event(Event::Stdin { bytes, .. } | Event::Data { bytes, .. }) => {
                    assert!(!bytes.is_empty());
                }
                Outcome::Event(Event::Params { params, .. }) => {
                    assert!(params.bytes().len() <= LIMITS.max_params);
                }
                Outcome::Event(Event::DataEnd { id } | Event::Abort { id }) => decoder.finish(id),
                Outcome::Event(_) => {}
            }
        }
    }
}

fn ask(input: &[u8], part: usize) {
    let mut decoder = client::Decoder::new();
    for mut part in input.chunks(part) {
        loop {
            let Ok((n, outcome)) = decoder.decode(part) else { return };
            part = part.get(n..).expect("no more consumed than there was");
            if outcome == client::Outcome::NeedMore {
                break assert!(part.is_empty());
            }
        }
    }
}

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
