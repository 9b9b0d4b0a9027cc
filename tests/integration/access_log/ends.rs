//! How requests end, who they were, and what no client can do.

use std::fs;
use std::io::{Read, Write};

use serde_json::Value;

use super::{lines, logging, objects, wait_for_lines};
use crate::harness::fcgi::{self, Answer};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::wait;

/// Whatever a client puts into a request, it is one line and its own field.
#[test]
fn no_client_can_forge_a_line() {
    let format = r#"%h %U "%r" "%{User-Agent}i" %{X-Bare}i %>s"#;
    for format in [format, "json"] {
        let flupd = logging("wrong.py", format).on_fastcgi();
        let attempt =
            "x\" 200 \"\\\"\n127.0.0.1 /forged \"GET / HTTP/1.1\" \"x\" x 200\r\n\u{1b}[2J\0";
        let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
        let mut params = fcgi::request_params("GET", "/hello", 0);
        params.retain(|(name, _)| name != "REQUEST_URI");
        for name in ["REQUEST_URI", "HTTP_USER_AGENT", "HTTP_X_BARE", "HTTP_X_REQUEST_ID"] {
            let value =
                if name == "REQUEST_URI" { format!("/hello?{attempt}") } else { attempt.into() };
            params.push((name.to_owned(), value));
        }
        let block = fcgi::pairs(&params);
        bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &block, 65535));
        bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 65535));
        let mut stream = flupd.connect();
        stream.write_all(&bytes).unwrap();
        assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "hello\n");
        let lines = wait_for_lines(&flupd, 1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{lines:?}");
        if format == "json" {
            let object: Value = serde_json::from_str(&lines[0]).unwrap();
            assert_eq!(object["user_agent"], attempt);
            assert_eq!(object["id"], attempt);
        } else {
            let escaped = r#"x\" 200 \"\\\"\n127.0.0.1 /forged \"GET / HTTP/1.1\" \"x\" x 200\r\n\x1b[2J\x00"#;
            let bare = escaped.replace(' ', "\\x20");
            let expected = format!(
                "127.0.0.1 /hello \"GET /hello?{escaped} HTTP/1.1\" \"{escaped}\" {bare} 200"
            );
            assert_eq!(lines[0], expected);
        }
        assert!(flupd.log().lines().all(|line| line.starts_with("20")), "{}", flupd.log());
    }
}

/// How requests end that don't end well.
#[test]
fn ends_are_told_apart() {
    let format = "%m %U %s %b %X %{outcome}x";
    let serve = logging("wrong.py", format).args(["--max-body", "1K"]);
    let site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!(site.get("/raises").status, 500);
    assert_eq!(site.send(&Request::post("/hello", vec![b'x'; 2000])).status, 413);
    assert_eq!(site.send(&Request::post("/os-exit", "")).status, 502);
    wait::until("a new worker answers", || site.get("/hello").status == 200);
    let gate = site.flupd.file("gate");
    fs::write(&gate, "").unwrap();
    let cut = Request::get(&format!("/raises-late?gate={}", gate.display()));
    assert!(cut.send(site.web.address()).is_err(), "the answer is cut");
    let lines = wait::until_some("the cut answer is logged", || {
        let lines = lines(&site.flupd);
        lines.iter().any(|line| line.contains("/raises-late")).then_some(lines)
    });
    for expected in [
        "GET /raises 500 22 - complete",
        "POST /hello 413 22 - refused",
        "POST /os-exit 502 16 - refused",
        "GET /hello 200 6 - complete",
        "GET /raises-late 200 30000 X cut",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
}

/// A client that goes away: before the app answers, and in the middle of the answer.
#[test]
fn clients_that_go_are_told() {
    for front in [Front::NginxFastcgi, Front::NginxKeepConn] {
        let format = "%m %U %s %{outcome}x %X %I";
        let site = front.serve_with(logging("waiting.py", format));
        let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
        let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
        let stream = Request::get(&target).start(site.web.address()).unwrap();
        wait::until_exists(&started);
        drop(stream);
        let line = wait_for_lines(&site.flupd, 1).remove(0);
        assert!(line.starts_with("GET /hold 499 aborted X "), "{line}");
        fs::write(&gate, "").unwrap();
        let closed = site.flupd.file("closed");
        let target = format!("/endless?closed={}", closed.display());
        let mut answer = Request::get(&target).open(site.web.address()).unwrap();
        answer.read_exact(&mut [0; 1000]).unwrap();
        drop(answer);
        let line = wait_for_lines(&site.flupd, 2).remove(1);
        assert!(line.starts_with("GET /endless 200 aborted X "), "{line}");
    }
    // Over FastCGI itself: an upload that stops in the middle.
    let flupd = logging("wrong.py", "%m %U %s %{outcome}x %I").on_fastcgi();
    let whole = fcgi::request(1, 0, "POST", "/hello", &[b'x'; 5000]);
    flupd.connect().write_all(&whole[..whole.len() - 1000]).unwrap();
    let line = wait_for_lines(&flupd, 1).remove(0);
    let bytes: u64 = line.strip_prefix("POST /hello 499 aborted ").expect(&line).parse().unwrap();
    assert!((4000..5000).contains(&bytes), "what came of it: {line}");
}

/// A client that has as many bytes as it was promised goes, although the app works on in
/// `close()`: it has given up nothing.
#[test]
fn who_has_the_whole_answer_has_not_aborted() {
    let site = Front::NginxKeepConn.serve_with(logging("waiting.py", "%m %s %{outcome}x %B"));
    for (number, method, body) in [(1, "GET", "all\n"), (2, "HEAD", "")] {
        let [started, gate] =
            ["started", "gate"].map(|name| site.flupd.file(&format!("{name}-{number}")));
        let (begun, go) = (started.display(), gate.display());
        let target = format!("/linger?started={begun}&gate={go}");
        let mut answer = Request::new(method, &target).start(site.web.address()).unwrap();
        wait::until_exists(&started);
        let mut seen = String::new();
        while !seen.ends_with(&format!("\r\n\r\n{body}")) {
            let mut byte = [0];
            answer.read_exact(&mut byte).unwrap();
            seen.push(byte[0].into());
        }
        drop(answer);
        // For the log it is over, while the app works on.
        let line = wait_for_lines(&site.flupd, number).remove(number - 1);
        assert_eq!(line, format!("{method} 200 complete {}", body.len()));
        fs::write(&gate, "").unwrap();
    }
}

/// Requests of flupd's own refusing, with the reason.
#[test]
fn refusals_have_their_reason() {
    let serve =
        logging("waiting.py", "json").args(["--workers", "1", "--threads", "1", "--queue", "0"]);
    let site = &Front::NginxFastcgi.serve_with(serve);
    let (started, gate) = (site.flupd.file("started"), site.flupd.file("gate"));
    let target = &format!("/hold?started={}&gate={}", started.display(), gate.display());
    // Nobody may wait until the gateway has heard of the worker.
    site.flupd.wait_for_workers(1);
    std::thread::scope(|scope| {
        scope.spawn(move || site.get(target));
        wait::until_exists(&started);
        let refused = Request::get("/pid").header("X-Request-Id", "full");
        while site.send(&refused).status != 503 {}
        fs::write(&gate, "").unwrap();
    });
    let all = wait::until_some("the refusal is logged", || {
        let all = objects(&site.flupd, 2);
        all.iter().any(|line| line["id"] == "full" && line["status"] == 503).then_some(all)
    });
    let is_it = |line: &&Value| line["id"] == "full" && line["status"] == 503;
    let refused = all.iter().find(is_it).unwrap();
    assert_eq!(refused["outcome"], "refused");
    assert!(refused["why"].as_str().unwrap().contains("--queue"), "{refused}");
    assert_eq!((&refused["id"], &refused["worker"]), (&"full".into(), &Value::Null));
    site.flupd.wait_for_log("WARN request refused request=\"GET /pid\" id=\"full\" why=");
}

/// By its id a request is found in both logs.
#[test]
fn a_request_has_the_same_id_in_all_logs() {
    let site = Front::NginxFastcgi.serve_with(logging("wrong.py", "%L %s"));
    assert_eq!(site.send(&Request::get("/raises").header("X-Request-Id", "abc-1")).status, 500);
    assert_eq!(wait_for_lines(&site.flupd, 1), ["abc-1 500"]);
    site.flupd.wait_for_log("ERROR app error worker=1 request=\"GET /raises\" id=\"abc-1\" what=");
}
