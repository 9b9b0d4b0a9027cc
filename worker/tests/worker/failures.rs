//! Apps that fail: a 500 page before the head, a cut answer after it, and the
//! reason in the log.

use flupd_channel::{LogLevel, Outcome};

use crate::support::{Start, pythons};

const HEAD: &str = "Status: 500 Internal Server Error\r\n\
                    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\n";

#[test]
fn a_failure_before_the_head_is_a_500() {
    let start = "ValueError: start_response(): ";
    let typed = "TypeError: start_response(): ";
    let cases = [
        ("raises", vec!["the app raised an exception\nTraceback", "own fault"]),
        ("raises_after_start", vec!["ValueError: after start_response"]),
        ("raises_at_first", vec!["ValueError: at the first chunk"]),
        ("interrupt", vec!["KeyboardInterrupt"]),
        ("generator_exit", vec!["GeneratorExit"]),
        ("own_base_exception", vec!["Odd"]),
        ("surrogates", vec!["ValueError: lone"]),
        ("no_such_case", vec!["AttributeError"]),
        ("never_starts", vec!["returned a body without calling start_response()"]),
        ("never_starts_generator", vec!["returned a body without calling start_response()"]),
        ("never_starts_empty", vec!["without calling start_response()"]),
        ("returns_none", vec!["TypeError: the app returned NoneType, not an iterable of bytes"]),
        ("returns_bytes", vec!["the app returned bytes, not an iterable of bytes: return [body]"]),
        ("returns_str", vec!["the app returned str, not an iterable of bytes"]),
        ("list_of_str", vec!["TypeError: a response body is made of bytes, not str"]),
        ("generator_of_str", vec!["TypeError: a response body is made of bytes, not str"]),
        ("starts_twice", vec!["AssertionError: start_response() was called a second time"]),
        ("bad_status", vec![start, "the status \"OK\" is not of the form"]),
        ("status_bytes", vec![typed, "the status must be a str, not b'200 OK'"]),
        ("split_header", vec![start, "the value of the header \"X-A\" contains '\\r'"]),
        ("bad_name", vec![start, "\"X A\" is not a header name"]),
        ("outside_latin1", vec![start, "the value of 'X-A' has characters outside latin-1"]),
        ("bytes_value", vec![typed, "the value of 'X-A' must be a str, not b'b'"]),
        ("triple", vec![typed, "header 1 is ('X-A', 'b', 'c'), not a tuple (name, value)"]),
        ("dict_of_headers", vec![typed, "the headers must be a list of tuples, not dict"]),
        ("bad_length", vec![start, "Content-Length is \"-1\", which is not a number"]),
        ("two_lengths", vec![start, "Content-Length is given twice"]),
        ("writes_str", vec!["TypeError: a response body is made of bytes, not str"]),
    ];
    for python in pythons() {
        let mut worker = Start::app("failures").ready(python);
        for (case, words) in &cases {
            let answer = worker.get(&format!("/{case}"));
            assert_eq!(answer.head, HEAD, "{python}: {case}: {}", answer.logged());
            assert_eq!(answer.text(), "Internal Server Error\n", "{case}");
            assert_eq!(answer.outcome, Some(Outcome::Complete), "{case}");
            assert_eq!(answer.log.len(), 1, "{case}");
            assert_eq!(answer.log[0].0, LogLevel::Error, "{case}");
            for word in words {
                let logged = answer.logged();
                assert!(logged.contains(word), "{python}: {case}: {word:?} not in {logged}");
            }
        }
        let answer = worker.get("/closed");
        assert_eq!(answer.text(), "body,body,body", "{python}: bodies are closed in failure too");
        let answer = worker.request("HEAD", "/raises", b"");
        assert_eq!((&*answer.head, answer.text()), (HEAD, ""));
    }
}

#[test]
fn a_failure_after_the_head_cuts_the_answer() {
    for python in pythons() {
        let mut worker = Start::app("failures").ready(python);
        for (case, word) in [
            ("/raises_later", "ValueError: in the middle"),
            ("/str_later", "TypeError: a response body is made of bytes, not str"),
        ] {
            let answer = worker.get(case);
            assert!(answer.head.starts_with("Status: 200 OK\r\n"), "{python}: {case}");
            assert_eq!(answer.text(), "begun");
            assert_eq!(answer.outcome, Some(Outcome::Cut));
            assert!(answer.logged().contains(word), "{python}: {}", answer.logged());
        }
        assert_eq!(worker.get("/closed").text(), "body,body");
    }
}

#[test]
fn a_failing_close_is_logged_and_the_answer_whole() {
    for python in pythons() {
        let mut worker = Start::app("failures").ready(python);
        let answer = worker.get("/raises_at_close");
        assert_eq!((answer.text(), answer.outcome), ("whole", Some(Outcome::Complete)));
        let logged = answer.logged();
        assert!(logged.starts_with("close() of the body failed\nTraceback"));
        assert!(logged.contains("ValueError: in close"), "{python}: {logged}");
    }
}
