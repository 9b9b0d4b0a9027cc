//! Runs every stream of `protocols/corpus/scgi`: whole, byte by byte, and cut in
//! two at every place.

use std::fs;
use std::path::{Path, PathBuf};

use scgi_server::{Decoder, Event, Limits, Outcome};

use crate::script::{Script, show, show_pair};

#[test]
fn every_stream_means_the_same_however_it_is_cut() {
    for (path, script) in files() {
        let is_invalid = script.expected.iter().any(|line| line.starts_with('!'));
        assert_eq!(is_invalid, path.to_string_lossy().contains("invalid"), "{path:?}");
        let bytes = script.bytes();
        let max_headers = script.setting("max_headers").map(|value| value.parse().unwrap());
        let limits = max_headers.map_or(Limits::default(), |max_headers| Limits { max_headers });
        let byte_by_byte: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(run(limits, &byte_by_byte), script.expected, "{path:?}, byte by byte");
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(run(limits, &[a, b]), script.expected, "{path:?}, cut at {at}");
        }
    }
}

/// Every file of the corpus.
pub(crate) fn files() -> Vec<(PathBuf, Script)> {
    let mut files = Vec::new();
    for folder in ["valid", "invalid"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/scgi").join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let script = Script::read(&fs::read_to_string(&path).unwrap());
            files.push((path, script));
        }
    }
    assert!(files.len() >= 25, "only {} files found", files.len());
    files
}

fn run(limits: Limits, parts: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::new(limits);
    let mut lines = Vec::new();
    let mut body = Vec::new();
    for &part in parts {
        let mut rest = part;
        loop {
            let (consumed, outcome) = match decoder.decode(rest) {
                Ok(answer) => answer,
                Err(error) => {
                    assert_eq!(decoder.decode(b"").unwrap_err(), error, "an error is final");
                    assert_eq!(error.is_too_large(), error.to_string().contains("larger"));
                    lines.push(format!("! {error}"));
                    return lines;
                }
            };
            rest = &rest[consumed..];
            match outcome {
                Outcome::NeedMore => {
                    assert!(rest.is_empty(), "NeedMore leaves nothing");
                    break;
                }
                Outcome::Event(Event::Params { params, content_length }) => {
                    let pairs: String = params.iter().map(|(n, v)| show_pair(n, v)).collect();
                    lines.push(format!("> params{pairs}"));
                    lines.push(format!("> content_length {content_length}"));
                }
                Outcome::Event(Event::Body { bytes }) => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(bytes);
                }
                Outcome::Event(Event::End) => {
                    flush(&mut body, &mut lines);
                    lines.push("> end".to_owned());
                }
            }
        }
    }
    flush(&mut body, &mut lines);
    if decoder.is_idle() {
        lines.push(". idle".to_owned());
    }
    lines
}

fn flush(body: &mut Vec<u8>, lines: &mut Vec<String>) {
    if !body.is_empty() {
        lines.push(format!("> body {}", show(body)));
        body.clear();
    }
}
