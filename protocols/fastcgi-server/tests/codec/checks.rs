//! What must hold for any input: no panic, no limit passed, no byte lost. Tests
//! and fuzz targets include it by path.
#![allow(dead_code, reason = "each fuzz target uses one of them")]

use bytes::BytesMut;
use fastcgi_server::{Capabilities, Decoder, Event, Limits, Outcome, Roles, client};

const LIMITS: Limits = Limits { max_params: 512, max_requests: 3 };

/// Feeds the input in parts and checks what must hold whatever it is.
pub(crate) fn serve(input: &[u8], part: usize) {
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

/// The same for the web server's end.
pub(crate) fn ask(input: &[u8], part: usize) {
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
