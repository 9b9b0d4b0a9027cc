//! `wsgi.input`, over memory of its own, over shared memory and over a file.

use std::io::{Seek, Write};

use flupd_channel::gateway::{Body, Shelf};

use crate::support::{Start, Worker, params, pythons};

/// The app's answer to the body in memory, in shared memory and in a file, which
/// must agree.
fn all(worker: &mut Worker, case: &str, body: &[u8]) -> String {
    let sent = params("POST", case, body.len());
    worker.send(0, &sent, &Body::Memory(body.to_vec()));
    let answer = worker.receive(0);
    let in_memory = answer.text().to_owned();

    let mut lease = Shelf::new(body.len().max(1)).take().unwrap();
    assert!(lease.push(body));
    let shared = Body::Shared(lease);
    worker.send(0, &sent, &shared);
    assert_eq!(worker.receive(0).text(), in_memory, "{case}");

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
            assert_eq!(all(&mut worker, case, body), expected, "{python}: {case}");
        }
        let body = b"0123456789".repeat(1000);
        assert_eq!(all(&mut worker, "/shared", &body), "(10000, True)", "{python}");
    }
}

#[test]
fn large_bodies_arrive_whole() {
    let body: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    // hashlib.sha256(b"".join(struct.pack("<I", n) for n in range(5_000_000)))
    let digest = "'c50d07cdde4ac4afd7fe2d1470ebd96fb3f03adb6807f45a39025b4893c6c41b'";
    for python in pythons().iter().take(1) {
        let mut worker = Start::app("inputs").ready(python);
        assert_eq!(all(&mut worker, "/digest", &body), digest, "{python}");
    }
}

/// The gateway receives the next client's body into the same memory.
#[test]
fn an_input_kept_after_its_request_reads_nothing() {
    for python in pythons() {
        let mut worker = Start::app("inputs").ready(python);
        let shelf = Shelf::new(14);
        let shared = |bytes: &[u8]| {
            let mut lease = shelf.take().unwrap();
            assert!(lease.push(bytes));
            Body::Shared(lease)
        };
        let sent = params("POST", "/keep", 14);
        let mine = shared(b"mine, and more");
        worker.send(0, &sent, &mine);
        assert_eq!(worker.receive(0).text(), "b'mine'", "{python}");
        drop(mine);
        worker.send(0, &sent, &Body::Memory(b"mine, and more".to_vec()));
        assert_eq!(worker.receive(0).text(), "b'mine'", "{python}");

        let sent = params("POST", "/kept_reads", 6);
        let others = shared(b"secret");
        worker.send(0, &sent, &others);
        let expected = "(2, {'the request has ended'}, b'secret')";
        assert_eq!(worker.receive(0).text(), expected, "{python}");
    }
}

/// A child does not hear of its parent's end, and could read the next body.
#[test]
fn a_forked_child_can_not_read_a_shared_body() {
    for python in pythons() {
        let mut worker = Start::app("inputs").ready(python);
        let mut lease = Shelf::new(4).take().unwrap();
        assert!(lease.push(b"body"));
        let sent = params("POST", "/in_a_child", 4);
        let shared = Body::Shared(lease);
        worker.send(0, &sent, &shared);
        let expected = "(b'the request body belongs to the parent process', b'body')";
        assert_eq!(worker.receive(0).text(), expected, "{python}");
        worker.send(0, &sent, &Body::Memory(b"body".to_vec()));
        assert_eq!(worker.receive(0).text(), "(b'body', b'body')", "{python}");
    }
}
