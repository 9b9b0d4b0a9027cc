//! `checks::serve` of scgi-server, on any input.
#![no_main]

#[path = "../../protocols/scgi-server/tests/codec/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let [part @ 1..=255, input @ ..] = input {
        checks::serve(input, usize::from(*part));
    }
});
