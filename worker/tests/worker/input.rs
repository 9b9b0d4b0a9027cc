//! `wsgi.input`, over memory and over a file.

use std::io::{Seek, Write};

use flupd_channel::gateway::Body;

use crate::support::{Start, Worker, params, pythons};

/// The app's answer to the body in memory and in a file, which must agree.
fn both(worker: &mut Worker, case: &str, body: &[u8]) -> String {
    let sent = params("POST", case, body.len());
    worker.send(0, &sent, &Body::Memory(body.to_vec()));
    let answer = worker.receive(0);
    let in_memory = answer.text().to_owned();

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(body).unwrap();
    // Whoever else has the file may have read it to any place.
    file.seek(std::io::SeekFrom::Start(3)).unwrap();
    let mut watched = file.try_clone().unwrap();
    worker.send(0, &sent, &Body::File { file, length: body.len() as u64 });
    assert_eq!(worker.receive(0).text(), in_memory, "{case}");
    assert_eq!(watched.stream_position().unwrap(), 3, "its own offset is left alone");
    in_memory
}

#[test]
fn every_way_to_read() {
    let lines = b"one\n\nthree\nlast";
    for python in pythons() {
        let mut worker = Start::app("inputs").ready(python);
        for (case, body, expected) in [
            ("/read", &b"all of it"[..], "(b'all of it', b'', b'')"),
            ("/read", b"", "(b'', b'', b'')"),
            ("/sizes", b"abcdefgh", "(b'abc', b'', b'defg', b'')"),
            ("/too_much", b"abc", "b'abc'"),
            ("/readline", lines, r"[b'one\n', b'\n', b'three\n', b'last', b'']"),
            ("/readline", b"", "[b'']"),
            ("/readline_sizes", lines, r"(b'on', b'', b'e\n', b'\n', b't')"),
            ("/readlines", lines, r"([b'one\n', b'\n', b'three\n', b'last'], [])"),
            ("/readlines_hint", lines, r"([b'one\n'], [b'\n', b'three\n'], [b'last'])"),
            ("/iterate", lines, r"(b'one\n', [b'\n', b'three\n', b'last'], True)"),
            ("/readinto", b"abcdefgh", "([4, 2, 'TypeError'], b'aefd', 0)"),
            ("/wrong", b"a", "(['TypeError', 'TypeError'], b'a')"),
        ] {
            assert_eq!(both(&mut worker, case, body), expected, "{python}: {case}");
        }
        let body = b"0123456789".repeat(1000);
        assert_eq!(both(&mut worker, "/shared", &body), "(10000, True)", "{python}");
    }
}

#[test]
fn large_bodies_arrive_whole() {
    let body: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    // hashlib.sha256(b"".join(struct.pack("<I", n) for n in range(5_000_000)))
    let digest = "'c50d07cdde4ac4afd7fe2d1470ebd96fb3f03adb6807f45a39025b4893c6c41b'";
    for python in pythons().iter().take(1) {
        let mut worker = Start::app("inputs").ready(python);
        assert_eq!(both(&mut worker, "/digest", &body), digest, "{python}");
    }
}
