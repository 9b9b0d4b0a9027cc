//! Request bodies.

use std::io::Write;

use crate::harness::ability::Ability;
use crate::harness::digest::{Blocks, blocks, sha256};
use crate::harness::front::Front;
use crate::harness::http::Request;

on_servers! {
    core: chunked_upload;
    all: upload_of_10_mib, small_chunked_upload, lines_of_a_body, aborted_upload;
}

const TEN_MIB: u64 = 160;

fn upload_of_10_mib(front: Front) {
    let site = front.serve("echo.py");
    let (expected, length) = sha256(&mut Blocks::new(TEN_MIB)).unwrap();
    for method in ["POST", "PUT"] {
        let told = site.send(&Request::new(method, "/").body(blocks(TEN_MIB))).json();
        assert_eq!(told["body_length"], length);
        assert_eq!(told["body_sha256"], expected);
    }
}

/// Chunks of growing size, none of them a round number.
fn chunked_upload(front: Front) {
    let site = front.serve("echo.py");
    let whole = blocks(48);
    let (expected, length) = sha256(&mut whole.as_slice()).unwrap();
    let mut chunks = Vec::new();
    let mut rest = whole.as_slice();
    for size in (1..).map(|n| n * 1237) {
        let (chunk, later) = rest.split_at(rest.len().min(size));
        chunks.push(chunk.to_vec());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    let answer = site.send(&Request::new("POST", "/").chunked(chunks));
    if !front.can(Ability::ChunkedUploads) {
        assert!(matches!(answer.status, 400 | 411), "{}", answer.status);
        return;
    }
    let told = answer.json();
    // An app knows the body's end by one of the two.
    let environ = &told["environ"];
    let is_told = environ["CONTENT_LENGTH"].as_str() == Some(&length.to_string());
    assert!(is_told || environ["wsgi.input_terminated"] == true, "{environ}");
    assert_eq!(told["body_length"], length);
    assert_eq!(told["body_sha256"], expected);
}

fn small_chunked_upload(front: Front) {
    let site = front.serve("echo.py");
    let chunks = vec![b"one".to_vec(), b"two".to_vec()];
    let answer = site.send(&Request::new("POST", "/").chunked(chunks));
    if !front.can(Ability::SmallChunkedUploads) {
        assert_eq!(answer.status, 411);
        return;
    }
    assert_eq!(answer.json()["body_length"], 6);
    let told = site.send(&Request::new("POST", "/").chunked(vec![])).json();
    assert_eq!(told["body_length"], 0, "a chunked upload of nothing");
}

fn lines_of_a_body(front: Front) {
    let site = front.serve("answers.py");
    let body = "line one\nline two\nline three\nline four\n\nno newline";
    let answer = site.send(&Request::post("/lines", body));
    let expected =
        ["line one\n", "lin", "e two\n", "line three\n", "line four\n", "\n", "no newline"];
    assert_eq!(answer.text(), expected.join("|"));
}

/// A client that goes away in the middle of its upload: the app never runs, and
/// the next request is not touched by it.
fn aborted_upload(front: Front) {
    let site = front.serve("waiting.py");
    let started = site.flupd.file("started");
    let target = format!("/hold?started={0}&gate={0}", started.display());
    let request = Request::new("POST", &target).header("Content-Length", "1000000");
    let mut stream = request.start(site.web.address()).unwrap();
    stream.write_all(&[b'x'; 50_000]).unwrap();
    drop(stream);

    for _ in 0..5 {
        assert_eq!(site.get("/pid").status, 200);
    }
    assert!(!started.exists(), "half an upload reached the app");
}
