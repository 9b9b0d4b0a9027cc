//! Several requests on one FastCGI connection, record by record: none of them
//! holds up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::fcgi::{self, Answer, KEEP_CONN};
use crate::harness::flupd::{Flupd, Serve};
use crate::harness::{app, wait};

fn serve(name: &str, args: &[&str]) -> Flupd {
    Serve::app(&app(name)).args(args).on_fastcgi()
}

fn get(id: u16, target: &str) -> Vec<u8> {
    fcgi::request(id, KEEP_CONN, "GET", target, b"")
}

/// Reads until all these requests have been answered.
fn answers(stream: &mut UnixStream, ids: &[u16]) -> BTreeMap<u16, Answer> {
    let mut answers: BTreeMap<u16, Answer> = BTreeMap::new();
    let mut left: BTreeSet<u16> = ids.iter().copied().collect();
    while !left.is_empty() {
        let record = fcgi::next(stream).unwrap().expect("the connection stays open");
        if record.kind == fcgi::END_REQUEST {
            assert!(left.remove(&record.id), "{record:?}");
        }
        answers.entry(record.id).or_default().take(record);
    }
    answers
}

/// An app thread is an app thread, wherever its requests come from.
#[test]
fn requests_of_one_connection_run_in_all_workers() {
    let flupd = serve("waiting.py", &["--workers", "3", "--threads", "1"]);
    let mut stream = flupd.connect();
    let gate = flupd.file("gate");
    let started = |id: u16| flupd.file(&format!("started-{id}"));
    for id in 1..=3 {
        let target = format!("/hold?gate={}&started={}", gate.display(), started(id).display());
        stream.write_all(&get(id, &target)).unwrap();
    }
    // All three run at the same time, and each worker has but one thread.
    (1..=3).for_each(|id| wait::until_exists(&started(id)));
    fs::write(gate, "").unwrap();
    let answers = answers(&mut stream, &[1, 2, 3]);
    assert!(answers.values().all(|answer| answer.body() == "held\n"));
}

/// 120 requests at once, their records shuffled: each gets its own answer.
#[test]
fn many_requests_are_not_mixed_up() {
    let flupd = serve("answers.py", &["--workers", "2", "--threads", "4"]);
    let mut stream = flupd.connect();
    let ids: Vec<u16> = (1..=120).collect();
    let body = |id: u16| vec![b'a' + (id % 26) as u8; usize::from(id) * 97];
    let mut parts: Vec<Vec<Vec<u8>>> = ids
        .iter()
        .map(|&id| {
            let mut records = vec![fcgi::begin(id, fcgi::RESPONDER, KEEP_CONN)];
            let target = format!("/repeat?token={id}");
            let params = fcgi::request_params("POST", &target, body(id).len());
            for (kind, content) in [(fcgi::PARAMS, fcgi::pairs(&params)), (fcgi::STDIN, body(id))] {
                let size = 50 + usize::from(id);
                records.extend(content.chunks(size).map(|part| fcgi::record(kind, id, part)));
                records.push(fcgi::record(kind, id, &[]));
            }
            records.reverse();
            records
        })
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        while parts.iter().any(|parts| !parts.is_empty()) {
            for parts in &mut parts {
                if let Some(part) = parts.pop() {
                    writer.write_all(&part).unwrap();
                }
            }
        }
    });
    for (id, answer) in answers(&mut stream, &ids) {
        let expected = [format!("{id}|").as_bytes(), &body(id)].concat();
        assert_eq!(answer.body().into_bytes(), expected, "{id}");
        assert_eq!(answer.end, Some((0, 0)));
    }
    sender.join().unwrap();
}

/// An upload that stops in the middle holds nobody up, and can be finished.
#[test]
fn a_stalled_upload_holds_up_nobody() {
    let flupd = serve("answers.py", &["--threads", "1"]);
    let mut stream = flupd.connect();
    let body = vec![b'u'; 300_000];
    let upload = fcgi::request(1, KEEP_CONN, "POST", "/repeat?token=up", &body);
    // Between two records, as a web server that shares the connection does.
    let mut end = 0;
    while end < upload.len() / 2 {
        end += 8 + usize::from(u16::from_be_bytes([upload[end + 4], upload[end + 5]]));
    }
    stream.write_all(&upload[..end]).unwrap();
    for id in 2..20 {
        stream.write_all(&get(id, "/hello")).unwrap();
        assert_eq!(Answer::read(&mut stream, id).unwrap().body(), "hello\n");
    }
    stream.write_all(&upload[end..]).unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    assert_eq!(answer.body().len(), "up|".len() + body.len());
}

/// An answer without end, to a peer that reads more slowly than the app writes:
/// what others say comes between its parts.
#[test]
fn an_answer_without_end_leaves_room_for_others() {
    let flupd = serve("waiting.py", &["--threads", "3"]);
    let mut stream = flupd.connect();
    let closed = flupd.file("closed");
    stream.write_all(&get(1, &format!("/endless?closed={}", closed.display()))).unwrap();
    // Until the socket is full, and the app has to wait.
    assert_eq!(fcgi::next(&mut stream).unwrap().unwrap().kind, fcgi::STDOUT);
    std::thread::sleep(Duration::from_millis(200));
    for id in 2..12 {
        stream.write_all(&get(id, "/pid")).unwrap();
        let (mut before, mut answer) = (0, Answer::default());
        while answer.end.is_none() {
            let record = fcgi::next(&mut stream).unwrap().unwrap();
            if record.id == id {
                answer.take(record);
                continue;
            }
            before += record.content.len();
            assert!(before < 2 << 20, "request {id} waits behind {before} bytes of another");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(answer.body().parse::<u32>().is_ok());
    }
    stream.write_all(&fcgi::record(fcgi::ABORT_REQUEST, 1, &[])).unwrap();
    while fcgi::next(&mut stream).unwrap().unwrap().kind != fcgi::END_REQUEST {}
    wait::until_exists(&closed);
    stream.write_all(&get(1, "/pid")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().body().parse::<u32>().is_ok());
}

/// An app that fails after its head costs its own answer: those beside it go on, and
/// the connection takes more (decision 0004).
#[test]
fn a_cut_answer_costs_no_other() {
    let flupd = serve("every.py", &["--threads", "3"]);
    let mut stream = flupd.connect();
    let (stays, fails) = (flupd.file("stays"), flupd.file("fails"));
    stream.write_all(&get(1, &format!("/stream?gate={}", stays.display()))).unwrap();
    assert_eq!(fcgi::next(&mut stream).unwrap().unwrap().id, 1);
    for id in 2..5 {
        stream.write_all(&get(id, &format!("/raises-late?gate={}", fails.display()))).unwrap();
        let begun = fcgi::next(&mut stream).unwrap().unwrap();
        assert_eq!((begun.id, begun.kind), (id, fcgi::STDOUT));
        fs::write(&fails, "").unwrap();
        let mut last = begun;
        while last.kind != fcgi::END_REQUEST {
            last = fcgi::next(&mut stream).unwrap().expect("the connection stays open");
            assert_eq!(last.id, id);
        }
        assert!(last.content.is_empty(), "an end that a web server may take for one: {last:?}");
        stream.write_all(&get(9, "/hello")).unwrap();
        assert_eq!(Answer::read(&mut stream, 9).unwrap().body(), "hello\n");
        fs::remove_file(&fails).unwrap();
    }
    fs::write(stays, "").unwrap();
    let mut answer = Answer::default();
    while answer.end.is_none() {
        answer.take(fcgi::next(&mut stream).unwrap().unwrap());
    }
    assert!(answer.text().ends_with("second\n"));
    assert_eq!(answer.end, Some((0, 0)));

    // The last one on its connection is cut as ever.
    stream.write_all(&get(5, &format!("/raises-late?gate={}", fails.display()))).unwrap();
    assert_eq!(fcgi::next(&mut stream).unwrap().unwrap().id, 5);
    fs::write(&fails, "").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&[0; 8]), "{rest:?}");
}

/// Twelve answers without end: each of them, and what is asked besides, has its turn
/// before the others have had another (`Connection::collect`).
#[test]
fn many_answers_without_end_take_turns() {
    const ENDLESS: u16 = 12;
    // What is taken for one write at the most, from each, and what the socket holds.
    const BEFORE: usize = (ENDLESS as usize + 2) * 256 * 1024;
    let flupd = serve("waiting.py", &["--workers", "1", "--threads", "14"]);
    let mut stream = flupd.connect();
    let closed = flupd.file("closed");
    for id in 1..=ENDLESS {
        stream.write_all(&get(id, &format!("/endless?closed={}", closed.display()))).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let mut shares = BTreeMap::new();
    for id in 100..106 {
        stream.write_all(&get(id, "/pid")).unwrap();
        let (mut before, mut answer) = (0, Answer::default());
        while answer.end.is_none() {
            let record = fcgi::next(&mut stream).unwrap().unwrap();
            if record.id == id {
                answer.take(record);
                continue;
            }
            before += record.content.len();
            *shares.entry(record.id).or_insert(0) += record.content.len();
            assert!(before < BEFORE, "request {id} waits behind {before} bytes: {shares:?}");
            // The peer is the slow one.
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(answer.body().parse::<u32>().is_ok());
    }
    assert_eq!(shares.len(), usize::from(ENDLESS), "{shares:?}");
}
