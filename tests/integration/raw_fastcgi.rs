//! FastCGI byte by byte, on flupd's own socket: what no web server sends in a
//! test, and what hostile peers send.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;

use crate::harness::fcgi::{self, Answer, KEEP_CONN, Record};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(name: &str) -> Flupd {
    Serve::app(&app(name)).on_fastcgi()
}

/// A new connection still works.
fn expect_alive(flupd: &Flupd) {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

#[test]
fn connection_is_closed_without_keep_conn() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(7, 0, "GET", "/hello", b"")).unwrap();
    let answer = Answer::read(&mut stream, 7).unwrap();
    assert_eq!(answer.end, Some((0, 0)));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed, and nothing after END_REQUEST");
}

#[test]
fn connection_stays_with_keep_conn() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    for id in [1, 1, 2, 0xFFFF, 1] {
        stream.write_all(&fcgi::request(id, KEEP_CONN, "GET", "/hello", b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, id).unwrap().body(), "hello\n");
    }
}

#[test]
fn status_line_is_always_there() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/hello", b"")).unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    assert!(answer.text().starts_with("Status: 200 OK\r\n"), "{}", answer.text());
}

/// The same request byte by byte.
#[test]
fn one_byte_at_a_time() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    for byte in fcgi::request(1, 0, "POST", "/repeat?token=t", b"body") {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "t|body");
}

/// Params over many records, split anywhere (section 3.3: a stream is one).
/// HAProxy up to 2.9 does not end the stream of a body of nothing (its issue 2499).
#[test]
fn a_body_of_nothing_needs_no_end() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    let whole = fcgi::request(1, KEEP_CONN, "POST", "/repeat?token=t", b"");
    let end = whole.len() - 8;
    for _ in 0..3 {
        stream.write_all(&whole[..end]).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "t|");
    }
    // An end that comes after the answer disturbs nobody.
    stream.write_all(&whole[end..]).unwrap();
    stream.write_all(&whole).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "t|");
}

#[test]
fn params_in_records_of_any_size() {
    let flupd = serve("answers.py");
    let block = fcgi::pairs(&fcgi::request_params("GET", "/hello", 0));
    for size in [1, 2, 3, 7, 64, 1000] {
        let mut stream = flupd.connect();
        let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
        bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &block, size));
        bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
        stream.write_all(&bytes).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n", "{size}");
    }
}

/// Requests 1, 3 and 5 share a connection; the later ones are answered while the
/// first still runs.
#[test]
fn multiplexed_requests() {
    let flupd = Serve::app(&app("waiting.py")).args(["--threads", "3"]).on_fastcgi();
    let gate = flupd.file("gate");
    let held = format!("/hold?gate={}", gate.display());
    let mut stream = flupd.connect();
    // Their records are interleaved.
    let requests = [
        fcgi::request(1, KEEP_CONN, "GET", &held, b""),
        fcgi::request(3, KEEP_CONN, "GET", "/pid", b""),
        fcgi::request(5, KEEP_CONN, "GET", "/pid", b""),
    ];
    let mut rest: Vec<Vec<Vec<u8>>> = requests.iter().map(|bytes| records(bytes)).collect();
    while rest.iter().any(|records| !records.is_empty()) {
        for records in rest.iter_mut().filter(|records| !records.is_empty()) {
            stream.write_all(&records.remove(0)).unwrap();
        }
    }
    let mut answers: HashMap<u16, Answer> = HashMap::new();
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let record = fcgi::next(&mut stream).unwrap().expect("the connection stays open");
        let (id, is_end) = (record.id, record.kind == fcgi::END_REQUEST);
        answers.entry(id).or_default().take(record);
        if is_end {
            ended.push(id);
            if ended.len() == 2 {
                fs::write(&gate, "").unwrap();
            }
        }
    }
    assert_eq!(ended[2], 1, "the held request ends last: {ended:?}");
    assert_eq!(answers[&1].body(), "held\n");
    assert_eq!(answers[&3].body(), answers[&5].body());
}

/// The records of a byte stream without padding.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length = 8 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        records.push(bytes[..length].to_vec());
        bytes = &bytes[length..];
    }
    records
}

/// ABORT_REQUEST (section 5.4) is answered with END_REQUEST, and closes the
/// app's iterable.
#[test]
fn abort() {
    let flupd = serve("waiting.py");
    let closed = flupd.file("closed");
    let mut stream = flupd.connect();
    let target = format!("/endless?closed={}", closed.display());
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", &target, b"")).unwrap();
    assert_eq!(fcgi::next(&mut stream).unwrap().unwrap().kind, fcgi::STDOUT);
    stream.write_all(&fcgi::record(fcgi::ABORT_REQUEST, 1, &[])).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    wait::until_exists(&closed);
    // The connection is as good as before.
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/pid", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().body().parse::<u32>().is_ok());
}

/// An ABORT before the request is whole: the app never sees it.
#[test]
fn abort_before_the_end_of_the_request() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    let whole = fcgi::request(1, KEEP_CONN, "POST", "/repeat?token=t", b"never seen");
    stream.write_all(&whole[..whole.len() - 8]).unwrap();
    stream.write_all(&fcgi::record(fcgi::ABORT_REQUEST, 1, &[])).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().end.is_some());
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

/// GET_VALUES (section 4.1) as HAProxy asks; unknown names are left out.
#[test]
fn get_values() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    let names = [("FCGI_MAX_CONNS", ""), ("FCGI_MAX_REQS", ""), ("FCGI_MPXS_CONNS", ""), ("X", "")];
    stream.write_all(&fcgi::record(fcgi::GET_VALUES, 0, &fcgi::pairs(&names))).unwrap();
    let Record { kind, id, content } = fcgi::next(&mut stream).unwrap().unwrap();
    assert_eq!((kind, id), (fcgi::GET_VALUES_RESULT, 0));
    let mut values = HashMap::new();
    let mut rest = content.as_slice();
    while let [name_length, value_length, tail @ ..] = rest {
        let (name, tail) = tail.split_at(usize::from(*name_length));
        let (value, tail) = tail.split_at(usize::from(*value_length));
        values.insert(String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        rest = tail;
    }
    assert_eq!(values.len(), 3, "{values:?}");
    assert_eq!(values["FCGI_MPXS_CONNS"], "1");
    for name in ["FCGI_MAX_CONNS", "FCGI_MAX_REQS"] {
        assert!(values[name].parse::<u32>().unwrap() > 0, "{values:?}");
    }
    // Only an answer, and the connection goes on.
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

/// UNKNOWN_TYPE (section 4.2) names the type.
#[test]
fn unknown_management_record() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::record(99, 0, b"what?")).unwrap();
    let record = fcgi::next(&mut stream).unwrap().unwrap();
    assert_eq!((record.kind, record.id, record.content[0]), (fcgi::UNKNOWN_TYPE, 0, 99));
}

/// Records of requests that never began, or have ended, are skipped whole.
#[test]
fn records_of_unknown_requests() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    for kind in [fcgi::PARAMS, fcgi::STDIN, fcgi::ABORT_REQUEST, 77] {
        stream.write_all(&fcgi::record(kind, 9, b"who?")).unwrap();
    }
    stream.write_all(&fcgi::request(1, KEEP_CONN, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
}

/// A role that is not a responder's is refused with UNKNOWN_ROLE (section 5.5).
#[test]
fn unknown_role() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::begin(1, 9, KEEP_CONN)).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end.unwrap().1, 3);
    stream.write_all(&fcgi::request(2, KEEP_CONN, "GET", "/hello", b"")).unwrap();
    assert_eq!(Answer::read(&mut stream, 2).unwrap().body(), "hello\n");
}

/// A peer that shuts down its sending side still gets its answer.
#[test]
fn half_close() {
    let flupd = serve("waiting.py");
    let gate = flupd.file("gate");
    let mut stream = flupd.connect();
    let target = format!("/hold?gate={}", gate.display());
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    fs::write(gate, "").unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    assert_eq!((answer.body().as_str(), answer.end), ("held\n", Some((0, 0))));
}

/// Above the limit of 1 MiB, with an answer that says so and a word in the log.
#[test]
fn too_many_params() {
    let flupd = serve("answers.py");
    let mut params = fcgi::request_params("GET", "/hello", 0);
    params.push(("HTTP_X_HUGE".to_owned(), "h".repeat(3 << 20)));
    let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
    bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
    let mut stream = flupd.connect();
    // flupd may close before it has everything.
    let _ = stream.write_all(&bytes);
    let refused = Answer::read(&mut stream, 1).unwrap();
    let clear = refused.end.is_some_and(|(_, protocol)| protocol != 0)
        || ["431", "400", "413"]
            .iter()
            .any(|s| refused.text().starts_with(&format!("Status: {s}")));
    assert!(clear, "{refused:?}");
    flupd.wait_for_log("params");
    expect_alive(&flupd);
}

/// Just under the limit everything arrives.
#[test]
fn params_of_almost_1_mib() {
    let flupd = serve("echo.py");
    let mut params = fcgi::request_params("GET", "/", 0);
    params.push(("HTTP_X_LARGE".to_owned(), "h".repeat(1_000_000)));
    let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
    bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
    let mut stream = flupd.connect();
    stream.write_all(&bytes).unwrap();
    let told: serde_json::Value =
        serde_json::from_str(&Answer::read(&mut stream, 1).unwrap().body()).unwrap();
    assert_eq!(told["environ"]["HTTP_X_LARGE"].as_str().unwrap().len(), 1_000_000);
}

/// The connection is closed, nothing is guessed, and others go on.
#[test]
fn garbage() {
    let flupd = serve("answers.py");
    let mut wrong_version = fcgi::request(1, 0, "GET", "/hello", b"");
    wrong_version[0] = 2;
    // A name that claims more bytes than the params have.
    let mut lying_length = fcgi::begin(1, fcgi::RESPONDER, 0);
    lying_length.extend(fcgi::stream(fcgi::PARAMS, 1, b"\xff\xff\xff\xff\x01x", 100));
    lying_length.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
    let cases: [&[u8]; 6] = [
        &wrong_version,
        &lying_length,
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        &[0xFF; 5000],
        b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00,",
    ];
    for bytes in cases {
        let mut stream = flupd.connect();
        let _ = stream.write_all(bytes);
        let mut back = Vec::new();
        // Either end is fine; waiting for ever is not.
        if let Err(error) = stream.read_to_end(&mut back) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{bytes:?}");
        }
        assert!(!String::from_utf8_lossy(&back).contains("hello"), "{bytes:?}");
        expect_alive(&flupd);
    }
}

/// HTTPS=on makes the scheme, as nginx sends it behind TLS.
#[test]
fn https() {
    let flupd = serve("echo.py");
    let mut params = fcgi::request_params("GET", "/", 0);
    params.push(("HTTPS".to_owned(), "on".to_owned()));
    let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
    bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
    let mut stream = flupd.connect();
    stream.write_all(&bytes).unwrap();
    let told: serde_json::Value =
        serde_json::from_str(&Answer::read(&mut stream, 1).unwrap().body()).unwrap();
    assert_eq!(told["environ"]["wsgi.url_scheme"], "https");
}

/// A connection that ends inside a request leaves nothing behind.
#[test]
fn connection_cut_anywhere() {
    let flupd = serve("answers.py");
    let whole = fcgi::request(1, 0, "POST", "/repeat?token=t", b"body");
    for end in (0..whole.len()).step_by(5) {
        flupd.connect().write_all(&whole[..end]).unwrap();
    }
    expect_alive(&flupd);
}

/// STDERR records are padded and hold whole lines (Debian's HAProxy 2.6 needs
/// the padding), and come no earlier than the head.
#[test]
fn stderr_comes_in_whole_padded_lines() {
    let flupd = serve("answers.py");
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", "/errors", b"")).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut rest = bytes.as_slice();
    let mut kinds = Vec::new();
    let mut stderr = Vec::new();
    while let [_, kind, _, _, high, low, padding, _, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (content, tail) = tail.split_at(length);
        if *kind == fcgi::STDERR && length > 0 {
            assert!(*padding > 0, "a STDERR record without padding");
            assert!(content.ends_with(b"\n"), "half a line: {content:?}");
            stderr.extend_from_slice(content);
        }
        kinds.push(*kind);
        rest = &tail[usize::from(*padding)..];
    }
    assert_eq!(kinds.first(), Some(&fcgi::STDOUT), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&fcgi::END_REQUEST), "{kinds:?}");
    assert_eq!(
        String::from_utf8(stderr).unwrap(),
        "the first line of wsgi.errors\nthe second: grüße\n"
    );
}
