//! What must hold for any input: no panic, no limit passed, no more body than
//! announced. Tests and fuzz targets include it by path.

use scgi_server::{Decoder, Event, Limits, Outcome};

const LIMITS: Limits = Limits { max_headers: 512 };

/// Feeds the input in parts and checks what must hold whatever it is.
pub(crate) fn serve(input: &[u8], part: usize) {
    let mut decoder = Decoder::new(LIMITS);
    let mut left = 0;
    for mut part in input.chunks(part) {
        loop {
            let Ok((n, outcome)) = decoder.decode(part) else { return };
            part = part.get(n..).expect("no more consumed than there was");
            match outcome {
                Outcome::NeedMore => break assert!(part.is_empty()),
                Outcome::Event(Event::Params { params, content_length }) => {
                    assert!(params.bytes().len() <= LIMITS.max_headers);
                    left = content_length;
                }
                Outcome::Event(Event::Body { bytes }) => {
                    assert!(!bytes.is_empty());
                    left = left.checked_sub(bytes.len() as u64).expect("no more than announced");
                }
                Outcome::Event(Event::End) => assert_eq!(left, 0),
            }
        }
    }
}
