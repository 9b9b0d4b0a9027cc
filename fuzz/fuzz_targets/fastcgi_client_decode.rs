//! `checks::ask` of fastcgi-server, on any input.
#![no_main]

#[path = "../../protocols/fastcgi-server/tests/codec/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let [part @ 1..=255, input @ ..] = input {
        checks::ask(input, usize::from(*part));
    }
});
