//! `wsgiref.validate` has nothing to say.

use crate::support::{Start, pythons};

#[test]
fn the_validator_is_content() {
    for python in pythons() {
        let mut worker = Start::app("validated").ready(python);
        for (method, case, body, expected) in [
            ("POST", "/reads", &b"a\nbcd\ne"[..], "a\n|bcd|\n|e"),
            ("GET", "/reads", b"", "|"),
            ("GET", "/generator", b"", "ab"),
            ("HEAD", "/generator", b"", ""),
            ("GET", "/writes", b"", "written"),
            ("GET", "/file", b"", "file"),
        ] {
            let answer = worker.request(method, case, body);
            assert_eq!(answer.text(), expected, "{python}: {method} {case}: {}", answer.logged());
            assert_eq!(answer.logged(), "", "{python}: {method} {case}");
        }
        let (_, _, stderr) = worker.leave();
        assert_eq!(stderr, "", "{python}: the validator warns of iterators left open");
    }
}
