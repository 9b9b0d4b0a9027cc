//! Both ends against each other.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Seek, SeekFrom, Write};

use bytes::Bytes;
use cgi::Params;

use crate::gateway::{Body, Port, Reply};
use crate::{ChannelError, LogLevel, Outcome, pair, worker};

fn params() -> Params {
    [(&b"REQUEST_METHOD"[..], &b"POST"[..]), (b"EMPTY", b""), (b"X", b"\xff\x00")]
        .into_iter()
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_request_and_its_answer_arrive_whole() {
    let (ours, theirs) = pair().unwrap();
    let app = std::thread::spawn(move || {
        let mut port = worker::Port::new(theirs);
        let request = port.receive().unwrap().unwrap();
        assert_eq!(request.params.iter().collect::<Vec<_>>(), params().iter().collect::<Vec<_>>());
        let worker::Body::Memory(body) = request.body else { panic!() };
        assert_eq!(body.len(), 300_000);
        assert!(!port.cancelled());
        port.log(LogLevel::Warn, "careful").unwrap();
        port.head(b"Status: 200 OK\r\n\r\n").unwrap();
        port.body(&body).unwrap();
        port.end(Outcome::Complete).unwrap();
        assert!(port.receive().unwrap().is_none());
    });
    runtime().block_on(async {
        let mut port = Port::new(ours).unwrap();
        let body = Body::Memory(vec![7; 300_000]);
        port.send(&params(), &body).await.unwrap();
        let careful = Reply::Log(LogLevel::Warn, Bytes::from_static(b"careful"));
        assert_eq!(port.receive().await.unwrap(), careful);
        assert!(matches!(port.receive().await.unwrap(), Reply::Head(_)));
        let mut total = 0;
        loop {
            match port.receive().await.unwrap() {
                Reply::Body(bytes) => total += bytes.len(),
                Reply::End(outcome) => break assert_eq!(outcome, Outcome::Complete),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(total, 300_000);
    });
    app.join().unwrap();
}

#[test]
fn a_spooled_body_travels_as_a_file_and_a_cancel_is_seen() {
    let (ours, theirs) = pair().unwrap();
    let app = std::thread::spawn(move || {
        let mut port = worker::Port::new(theirs);
        let request = port.receive().unwrap().unwrap();
        let worker::Body::File { mut file, length } = request.body else { panic!() };
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), length);
        while !port.cancelled() {
            std::thread::yield_now();
        }
        port.end(Outcome::Cut).unwrap();
    });
    runtime().block_on(async {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"spooled").unwrap();
        let mut port = Port::new(ours).unwrap();
        port.send(&params(), &Body::File { file, length: 7 }).await.unwrap();
        port.cancel().await.unwrap();
        assert_eq!(port.receive().await.unwrap(), Reply::End(Outcome::Cut));
        assert!(matches!(port.receive().await, Err(ChannelError::Closed)));
    });
    app.join().unwrap();
}

/// What the gateway says to the raw bytes of a worker in mid-request.
fn verdict(bytes: &[u8]) -> ChannelError {
    let (ours, theirs) = pair().unwrap();
    runtime().block_on(async {
        let mut port = Port::new(ours).unwrap();
        port.send(&params(), &Body::Memory(Vec::new())).await.unwrap();
        std::os::unix::net::UnixStream::from(theirs).write_all(bytes).unwrap();
        loop {
            if let Err(error) = port.receive().await {
                return error;
            }
        }
    })
}

#[test]
fn garbage_from_a_worker_is_named() {
    let frame = |length: u32, kind: u8, detail: u8| {
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend([kind, detail, 0, 0]);
        frame
    };
    for (bytes, rule) in [
        (frame(0, 99, 0), "unknown frame kind"),
        (frame(u32::MAX, 3, 0), "a reply is longer than allowed"),
        (frame(0, 4, 0), "a body before its head"),
        (frame(0, 1, 0), "a request came from a worker"),
        (frame(0, 7, 9), "unknown outcome"),
        ([frame(0, 3, 0), frame(0, 3, 0)].concat(), "a second head"),
        ([frame(0, 7, 0), frame(0, 7, 0)].concat(), "a reply without a request"),
    ] {
        match verdict(&bytes) {
            ChannelError::Broken(named) => assert_eq!(named, rule),
            other => panic!("{rule}: {other:?}"),
        }
    }
    assert!(matches!(verdict(&frame(10, 3, 0)), ChannelError::Closed));
}
