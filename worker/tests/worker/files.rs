//! `wsgi.file_wrapper`.

use flupd_channel::Outcome;

use crate::support::{Start, pythons};

#[test]
fn files_come_whole_and_are_closed() {
    let data: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let cases = [
        ("/plain", &data[..], length(data.len())),
        ("/named", &data, length(data.len())),
        ("/unbuffered", &data, length(data.len())),
        ("/from_position", &data[1000..], length(data.len() - 1000)),
        ("/with_length", &data[..1000], length(1000)),
        ("/unflushed", b"not yet on disk", length(15)),
        ("/memory", &data, String::new()),
        ("/compressed", &data, String::new()),
        ("/pipe", b"through a pipe", String::new()),
        ("/iterated", b"abc|def|g|", String::new()),
        ("/empty", b"", length(0)),
        ("/no_close", b"only read", String::new()),
    ];
    for python in pythons() {
        let mut worker = Start::app("files").ready(python);
        for (case, body, length) in &cases {
            let answer = worker.get(case);
            let head = format!("Status: 200 OK\r\nContent-Type: text/plain\r\n{length}\r\n");
            assert_eq!(answer.head, head, "{python}: {case}: {}", answer.logged());
            assert!(answer.body == *body, "{python}: {case}: {} bytes", answer.body.len());
            assert_eq!(answer.outcome, Some(Outcome::Complete), "{python}: {case}");
            let closed = match *case {
                // GzipFile leaves the file that it was given open.
                "/compressed" => "[False]",
                "/no_close" => "[]",
                _ => "[True]",
            };
            assert_eq!(worker.get("/closed").text(), closed, "{python}: {case}");
        }
    }
}

#[test]
fn a_head_request_sends_no_file() {
    for python in pythons() {
        let mut worker = Start::app("files").ready(python);
        for case in ["/plain", "/memory"] {
            let answer = worker.request("HEAD", case, b"");
            assert_eq!(answer.text(), "", "{python}: {case}");
            assert_eq!(answer.head.contains("Content-Length: 1048576"), case == "/plain");
            assert_eq!(worker.get("/closed").text(), "[True]");
        }
    }
}
