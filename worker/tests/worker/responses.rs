//! What goes out for what an app returns.

use flupd_channel::{LogLevel, Outcome};

use crate::support::{Reply, Start, pythons};

const PLAIN: &str = "Status: 200 OK\r\nContent-Type: text/plain\r\n";

fn plain(length: Option<usize>) -> String {
    let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
    format!("{PLAIN}{length}\r\n")
}

#[test]
fn bodies_of_every_kind() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        for (case, length, parts, body, closed) in [
            ("/one", Some(3), &[3][..], "one", ""),
            ("/several", Some(3), &[1, 2], "abc", ""),
            ("/empty", Some(0), &[], "", ""),
            ("/empty_generator", Some(0), &[], "", "body"),
            ("/generator", None, &[1, 2], "abc", "body"),
            ("/lazy_start", None, &[4], "lazy", ""),
            ("/list_subclass", None, &[3, 5], "subclass", "list"),
            ("/bytes_subclass", Some(3), &[3], "sub", ""),
            ("/own_length", Some(3), &[1, 2], "abc", "body"),
            ("/written", None, &[8, 8], "written returned", ""),
        ] {
            let answer = worker.get(case);
            assert_eq!(answer.head, plain(length), "{python}: {case}");
            assert_eq!((answer.text(), &*answer.parts), (body, parts), "{python}: {case}");
            assert_eq!(answer.outcome, Some(Outcome::Complete), "{python}: {case}");
            assert_eq!(answer.logged(), "", "{python}: {case}");
            assert_eq!(worker.get("/closed").text(), closed, "{python}: {case}");
        }
        let answer = worker.get("/large");
        assert_eq!((answer.head, answer.body.len()), (plain(Some(300_010)), 300_010));
    }
}

#[test]
fn a_body_longer_than_its_length_is_cut() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        for (case, body, closed) in [
            ("/too_long", "abc", "body"),
            ("/too_long_list", "abc", ""),
            ("/only_written", "written", ""),
        ] {
            let answer = worker.get(case);
            assert_eq!(answer.head, plain(Some(body.len())), "{python}: {case}");
            assert_eq!((answer.text(), answer.outcome), (body, Some(Outcome::Complete)));
            assert_eq!(answer.log.len(), 1, "{python}: {case}");
            assert_eq!(answer.log[0].0, LogLevel::Warn);
            assert!(answer.log[0].1.contains("longer than its Content-Length"));
            assert_eq!(worker.get("/closed").text(), closed, "{python}: {case}");
        }
    }
}

#[test]
fn a_body_shorter_than_its_length_is_seen_to_be_cut() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        for (case, body, missing) in [
            ("/too_short", "abc", "2 bytes are missing"),
            ("/too_short_list", "abc", "2 bytes are missing"),
            ("/nothing_of_some", "", "5 bytes are missing"),
        ] {
            let answer = worker.get(case);
            assert_eq!(answer.head, plain(Some(5)), "{python}: {case}");
            assert_eq!((answer.text(), answer.outcome), (body, Some(Outcome::Cut)), "{case}");
            assert!(answer.logged().contains(missing), "{python}: {}", answer.logged());
        }
    }
}

#[test]
fn some_answers_have_no_body() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        for (method, case, head, closed) in [
            ("GET", "/no_content", "Status: 204 No Content\r\n\r\n".into(), "body"),
            (
                "GET",
                "/not_modified",
                "Status: 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_owned(),
                "",
            ),
            ("HEAD", "/one", plain(Some(3)), ""),
            ("HEAD", "/empty", plain(None), ""),
            ("HEAD", "/generator", plain(None), "body"),
            ("HEAD", "/own_length", plain(Some(3)), "body"),
            ("HEAD", "/too_short", plain(Some(5)), "body"),
            ("HEAD", "/lazy_start", plain(None), ""),
            // The iteration ends once the head has gone out.
            ("HEAD", "/endless", plain(None), "body"),
            ("HEAD", "/written", plain(None), ""),
        ] {
            let answer = worker.request(method, case, b"");
            assert_eq!((answer.head, answer.body.len()), (head, 0), "{python}: {method} {case}");
            assert_eq!(answer.outcome, Some(Outcome::Complete), "{python}: {method} {case}");
            assert!(answer.log.is_empty(), "{python}: {method} {case}");
            assert_eq!(worker.get("/closed").text(), closed, "{python}: {method} {case}");
        }
    }
}

#[test]
fn an_error_page_replaces_a_head_that_has_not_gone_out() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        let answer = worker.get("/replaced");
        let head = "Status: 503 Sorry\r\nX-Error: yes\r\nContent-Length: 5\r\n\r\n";
        assert_eq!((&*answer.head, answer.text()), (head, "sorry"), "{python}");

        let answer = worker.get("/replaced_too_late");
        assert_eq!((&*answer.head, answer.text()), (&*plain(None), "begun"), "{python}");
        assert_eq!(answer.outcome, Some(Outcome::Cut));
        assert!(answer.logged().contains("ValueError: too late"), "{python}");
    }
}

#[test]
fn headers_that_are_not_the_apps_are_dropped_with_one_warning() {
    for python in pythons() {
        let mut worker = Start::app("responses").ready(python);
        let answer = worker.get("/headers");
        let head = "Status: 299 Café\r\nX-Latin: é\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                    Content-Length: 1\r\n\r\n";
        assert_eq!(answer.head, head, "{python}");
        let warned: Vec<&str> = answer.log.iter().map(|(_, text)| text.as_str()).collect();
        for (name, text) in ["Connection", "Transfer-Encoding", "Status"].iter().zip(&warned) {
            assert!(text.contains(&format!("header {name},")), "{python}: {text}");
        }
        assert_eq!(warned.len(), 3);
        assert!(worker.get("/headers").log.is_empty(), "{python}: once per name");
    }
}

#[test]
fn an_iterable_streams_as_it_comes() {
    use flupd_channel::gateway::Body;
    for python in pythons() {
        let mut worker = Start::app("leaving").ready(python);
        worker.send(0, &crate::support::params("GET", "/slow", 0), &Body::Memory(Vec::new()));
        assert!(matches!(worker.reply(0), Ok(Reply::Head(_))));
        assert_eq!(worker.reply(0).unwrap(), Reply::Body("slow ".into()));
        let before = std::time::Instant::now();
        assert_eq!(worker.reply(0).unwrap(), Reply::Body("but whole".into()));
        let waited = before.elapsed();
        assert!(waited.as_millis() >= 50, "{python}: the second came {waited:?} after the first");
    }
}
