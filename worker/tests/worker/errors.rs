//! `wsgi.errors`.

use crate::support::{Start, pythons};

#[test]
fn whole_lines_go_out_and_the_last_is_ended() {
    for python in pythons() {
        let mut worker = Start::app("errorlog").ready(python);
        let answer = worker.get("/lines");
        assert_eq!(answer.errors, "one\ntwo\nthree and four\nrést \\udcff\n", "{python}");
        assert_eq!(answer.text(), "6");
        let answer = worker.get("/logged");
        assert_eq!(answer.errors, "a warning\n");
        let answer = worker.get("/long_line");
        let lines: Vec<usize> = answer.errors.lines().map(str::len).collect();
        assert_eq!(lines, [100_000, 50_000], "a line without an end is not kept for ever");
        let answer = worker.get("/wrong");
        let each = "wsgi.errors.write() takes a str, not";
        assert_eq!(answer.text(), format!("{each} bytes; {each} int"));
    }
}

#[test]
fn threads_of_the_app_do_not_mix_their_lines() {
    for python in pythons() {
        let mut worker = Start::app("errorlog").ready(python);
        let answer = worker.get("/threads");
        let mut lines: Vec<&str> = answer.errors.lines().collect();
        assert_eq!(lines.len(), 200, "{python}");
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines, ["line of 0", "line of 1", "line of 2", "line of 3"]);
    }
}

#[test]
fn what_is_kept_past_the_request_reaches_no_other() {
    for python in pythons() {
        let mut worker = Start::app("errorlog").ready(python);
        worker.get("/keep");
        let answer = worker.get("/use_kept");
        assert_eq!(answer.errors, "", "{python}");
        assert_eq!(answer.text(), "the request has ended; the request has ended");
        let (_, _, stderr) = worker.leave();
        assert_eq!(stderr, "a late word\n");
    }
}
