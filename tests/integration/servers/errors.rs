//! Apps that fail, and what client, web server and log get to see of it.

use std::fs;
use std::io::Read;

use crate::harness::ability::Ability;
use crate::harness::front::{Front, Site};
use crate::harness::http::{Request, is_cut};
use crate::harness::wait;

on_servers! {
    all: exception_before_the_head, misuse_of_start_response, exception_after_the_head,
        exception_after_the_head_with_length, errors_in_flupds_log,
        errors_in_the_web_servers_log;
}

fn exception_before_the_head(front: Front) {
    let site = front.serve("wrong.py");
    for (path, message) in [
        ("/raises", "Mishap: before the head"),
        ("/raises-in-iteration", "Mishap: before the first part"),
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 500, "{path}");
        for secret in ["Mishap", "Traceback", "wrong.py"] {
            assert!(!answer.text().contains(secret), "the client sees {secret}: {answer:?}");
        }
        site.flupd.wait_for_log(message);
    }
    assert!(site.flupd.log().contains("Traceback"), "{}", site.flupd.log());
    assert_eq!(site.get("/hello").text(), "hello\n");
}

/// Each is an error of the app: a 500, and nothing of the bad head gets out.
fn misuse_of_start_response(front: Front) {
    let site = front.serve("wrong.py");
    for path in [
        "/split-value",
        "/split-name",
        "/split-status",
        "/nul-value",
        "/bad-status",
        "/wide-header",
        "/no-start",
        "/started-twice",
        "/text-body",
        "/none-body",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 500, "{path}: {answer:?}");
        for name in ["X-Split", "X-Other", "X-Nul", "X-Wide", "Set-Cookie"] {
            assert_eq!(answer.header(name), None, "{path}");
        }
    }
    assert_eq!(site.get("/hello").text(), "hello\n");
}

fn exception_after_the_head(front: Front) {
    let site = front.serve("wrong.py");
    for path in ["/raises-late", "/restart-after-output"] {
        expect_cut(&site, path, front.can(Ability::CutAnswers));
    }
    assert_eq!(site.get("/hello").text(), "hello\n");
}

/// Every web server holds an answer to its Content-Length.
fn exception_after_the_head_with_length(front: Front) {
    let site = front.serve("wrong.py");
    expect_cut(&site, "/raises-late-with-length", true);
    assert_eq!(site.get("/hello").text(), "hello\n");
}

/// The client must not take the answer for a whole one, where the web server lets it
/// know. The app fails only after the client has seen the beginning: lighttpd, when
/// it has sent nothing yet, makes a whole answer of what there is.
fn expect_cut(site: &Site, path: &str, seen: bool) {
    let gate = site.flupd.file(path.trim_start_matches('/'));
    let request = Request::get(&format!("{path}?gate={}", gate.display()));
    let mut answer = request.open(site.web.address()).unwrap();
    assert_eq!((answer.status, answer.line().unwrap().as_str()), (200, "begun\n"));
    fs::write(gate, "").unwrap();
    match answer.read_to_end(&mut Vec::new()) {
        Err(error) => assert!(seen && is_cut(&error), "{path}: {error}"),
        Ok(_) => assert!(!seen, "{path}: a cut answer passed as whole"),
    }
    site.flupd.wait_for_log("Mishap: after the head");
}

fn errors_in_flupds_log(front: Front) {
    let site = front.serve("answers.py");
    assert_eq!(site.get("/errors").text(), "told\n");
    site.flupd.wait_for_log("the first line of wsgi.errors");
    site.flupd.wait_for_log("the second: grüße");
}

fn errors_in_the_web_servers_log(front: Front) {
    let site = front.serve("answers.py");
    assert_eq!(site.get("/errors").text(), "told\n");
    site.flupd.wait_for_log("the second: gr");
    for line in ["the first line of wsgi.errors", "the second: gr"] {
        if !front.can(Ability::ErrorLog) {
            assert!(!site.web.error_log().contains(line), "{}", site.web.error_log());
            continue;
        }
        wait::until("wsgi.errors reaches the web server's log", || {
            site.web.error_log().contains(line)
        });
    }
}
