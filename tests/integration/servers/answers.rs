//! Response bodies: every shape that PEP 3333 allows.

use std::fs;

use crate::harness::ability::Ability;
use crate::harness::digest::{Blocks, sha256};
use crate::harness::front::Front;
use crate::harness::http::{Request, is_cut};
use crate::harness::{source, wait};

on_servers! {
    all: download_of_100_mib, bodiless_statuses, body_with_204, longer_than_content_length,
        shorter_than_content_length, write_callable, file_wrapper, real_file, close_is_called,
        exc_info_replaces_the_head;
}

fn download_of_100_mib(front: Front) {
    let site = front.serve("answers.py");
    let (expected, _) = sha256(&mut Blocks::new(1600)).unwrap();
    for length in ["", "&known"] {
        let request = Request::get(&format!("/download?size=104857600{length}"));
        let mut answer = request.open(site.web.address()).unwrap();
        let told = answer.header("Content-Length").map(str::to_owned);
        assert_eq!(told.as_deref(), (!length.is_empty()).then_some("104857600"));
        assert_eq!(sha256(&mut answer).unwrap(), (expected.clone(), 104_857_600));
    }
}

/// The client itself sees to it that no byte follows such a head.
fn bodiless_statuses(front: Front) {
    let site = front.serve("answers.py");
    let answer = site.get("/no-content");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let answer = site.get("/not-modified");
    assert_eq!((answer.status, answer.header("ETag")), (304, Some("\"v1\"")));
    assert_eq!(site.get("/hello").text(), "hello\n");
}

fn body_with_204(front: Front) {
    let site = front.serve("wrong.py");
    let answer = site.get("/body-with-204");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(site.get("/hello").text(), "hello\n");
}

fn longer_than_content_length(front: Front) {
    let site = front.serve("wrong.py");
    let answer = site.get("/longer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "12345"));
    site.flupd.wait_for_log("Content-Length");
    assert_eq!(site.get("/hello").text(), "hello\n");
}

fn shorter_than_content_length(front: Front) {
    let site = front.serve("wrong.py");
    match Request::get("/shorter").send(site.web.address()) {
        Err(error) => assert!(is_cut(&error), "{error}"),
        Ok(answer) if answer.status >= 500 => {}
        Ok(_) if !front.can(Ability::ShortAnswers) => {}
        Ok(answer) => panic!("a short answer passed as whole: {answer:?}"),
    }
    site.flupd.wait_for_log("Content-Length");
    assert_eq!(site.get("/hello").text(), "hello\n");
}

fn write_callable(front: Front) {
    let site = front.serve("answers.py");
    assert_eq!(site.get("/written").text(), "one two three\n");
}

fn file_wrapper(front: Front) {
    let site = front.serve("answers.py");
    assert_eq!(site.get("/file").body, b"0123456789".repeat(100_000));
}

fn real_file(front: Front) {
    let site = front.serve("wrong.py");
    let text = fs::read(source("tests/apps/wrong.py")).unwrap();
    assert_eq!(site.get("/file").body, text[3..], "from where the file stood");
}

fn close_is_called(front: Front) {
    let site = front.serve("answers.py");
    for (path, text) in [("closing", "part one part two\n"), ("generator", "from a generator\n")] {
        let closed = site.flupd.file(path);
        // The app creates the file, and fails if close() were called twice.
        let answer = site.get(&format!("/{path}?closed={}", closed.display()));
        assert_eq!(answer.text(), text);
        wait::until_exists(&closed);
    }
    let log = site.flupd.log();
    for complaint in ["Traceback", "without being closed"] {
        assert!(!log.contains(complaint), "{log}");
    }
}

fn exc_info_replaces_the_head(front: Front) {
    let site = front.serve("answers.py");
    let answer = site.get("/late-start");
    assert_eq!((answer.status, answer.text().as_str()), (409, "replaced\n"));
}
