//! The checks of cgi, on any block of FastCGI params and any response.
#![no_main]

#[path = "../../protocols/cgi/tests/any/checks.rs"]
mod checks;

use cgi::Params;

// `NAME=value` lines; a first line without `=` is the configured mount point.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut params = Params::new();
    let mut script_name = None;
    for line in input.split(|&byte| byte == b'\n') {
        match line.iter().position(|&byte| byte == b'=') {
            Some(at) => params.push(&line[..at], &line[at + 1..]),
            None if params.is_empty() => script_name = Some(line),
            None => {}
        }
    }
    checks::environ(&params, script_name);
    checks::head(&input[..input.len().min(512)]);
});
