//! Round trips, and arbitrary and mutated input. The fuzz target runs the same
//! checks for longer.

use bytes::BytesMut;
use cgi::Params;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scgi_server::{Decoder, Event, Limits, Outcome, client};

use crate::checks::serve;
use crate::corpus;

/// A stream of the corpus with some bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let streams: Vec<Vec<u8>> = corpus::files()
        .into_iter()
        .map(|(_, script)| script.bytes())
        .filter(|stream| !stream.is_empty())
        .collect();
    let changes = vec((any::<Index>(), any::<u8>()), 0..6);
    (select(streams), changes).prop_map(|(mut stream, changes)| {
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    })
}

/// No NUL, which the format cannot carry, and names that never repeat.
fn pairs() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    vec(vec(1..=255u8, 0..300), 0..20).prop_map(|values| {
        values.into_iter().enumerate().map(|(n, value)| (format!("NAME_{n}"), value)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_input_panics(
        input in prop_oneof![vec(any::<u8>(), 0..300), mutated()],
        part in 1..64usize,
    ) {
        serve(&input, part);
    }

    #[test]
    fn a_request_arrives_as_it_was_sent(
        pairs in pairs(),
        body in vec(any::<u8>(), 0..2000),
        part in 1..3000usize,
    ) {
        let sent: Params = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_slice())).collect();
        let mut wire = BytesMut::new();
        client::request(&mut wire, &sent, body.len() as u64);
        wire.extend_from_slice(&body);

        let mut decoder = Decoder::new(Limits::default());
        let (mut received, mut got, mut ended) = (None, Vec::new(), false);
        for mut part in wire.chunks(part) {
            while let (n, Outcome::Event(event)) = decoder.decode(part).unwrap() {
                part = &part[n..];
                match event {
                    Event::Params { params, content_length } => {
                        prop_assert_eq!(content_length, body.len() as u64);
                        received = Some(params);
                    }
                    Event::Body { bytes } => got.extend_from_slice(bytes),
                    Event::End => ended = true,
                }
            }
        }
        let received = received.unwrap();
        let length = body.len().to_string();
        let ours = [(&b"CONTENT_LENGTH"[..], length.as_bytes()), (b"SCGI", b"1")];
        prop_assert_eq!(received.iter().collect::<Vec<_>>(), ours.into_iter().chain(&sent).collect::<Vec<_>>());
        prop_assert_eq!(got, body);
        prop_assert!(ended);
    }
}
