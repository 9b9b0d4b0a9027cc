//! Methods, and the environ that every request has.

use serde_json::{Value, json};

use crate::harness::front::Front;
use crate::harness::http::Request;

on_servers! {
    core: get, methods_with_a_body, environ;
    all: content_length_is_added, head, methods_without_a_body, query_strings;
}

fn get(front: Front) {
    let site = front.serve("answers.py");
    let answer = site.get("/hello");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert!(!site.flupd.log().contains("Traceback"), "the validator is content");
}

/// A list of one part tells its length.
fn content_length_is_added(front: Front) {
    let site = front.serve("wrong.py");
    for method in ["GET", "HEAD"] {
        let answer = site.send(&Request::new(method, "/hello"));
        assert_eq!((answer.status, answer.header("Content-Length")), (200, Some("6")), "{method}");
    }
}

fn head(front: Front) {
    let site = front.serve("answers.py");
    for target in ["/hello", "/download?size=655360&known", "/written"] {
        // The client sees to it that no byte follows the head.
        let answer = site.send(&Request::new("HEAD", target));
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{target}");
    }
    let answer = site.send(&Request::new("HEAD", "/download?size=655360&known"));
    assert_eq!(answer.header("Content-Length"), Some("655360"));
}

fn methods_with_a_body(front: Front) {
    let site = front.serve("echo.py");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let request = Request::new(method, "/thing").body("12345").header("Content-Type", "text/x");
        let told = site.send(&request).json();
        assert_eq!(told["environ"]["REQUEST_METHOD"], method);
        assert_eq!(told["environ"]["CONTENT_TYPE"], "text/x");
        assert_eq!(told["environ"]["CONTENT_LENGTH"], "5");
        assert_eq!(told["body_length"], 5, "{method}");
    }
}

fn methods_without_a_body(front: Front) {
    let site = front.serve("echo.py");
    for method in ["GET", "DELETE", "OPTIONS"] {
        let told = site.send(&Request::new(method, "/thing")).json();
        assert_eq!(told["environ"]["REQUEST_METHOD"], method);
        assert_eq!(told["body_length"], 0, "{method}");
    }
    let told = site.send(&Request::post("/thing", "")).json();
    assert_eq!(told["body_length"], 0, "POST of nothing");
}

fn query_strings(front: Front) {
    let site = front.serve("echo.py");
    for (target, query) in [
        ("/x", ""),
        ("/x?", ""),
        ("/x?a=1&b=2", "a=1&b=2"),
        ("/x?a=%20b+c&%C3%BC=%26", "a=%20b+c&%C3%BC=%26"),
        ("/x?one?two", "one?two"),
        ("/x?next=/y/z", "next=/y/z"),
    ] {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["QUERY_STRING"], query, "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], "/x", "{target}");
    }
}

fn environ(front: Front) {
    let site = front.serve("echo.py");
    let told = site.get("/x").json();
    let environ = &told["environ"];
    let port = site.web.address().port().to_string();
    for (name, value) in [
        ("SERVER_PROTOCOL", json!("HTTP/1.1")),
        ("SERVER_PORT", json!(port)),
        ("REMOTE_ADDR", json!("127.0.0.1")),
        ("wsgi.version", json!([1, 0])),
        ("wsgi.url_scheme", json!("http")),
        // One worker of two threads.
        ("wsgi.multithread", json!(front != Front::NginxSolo)),
        ("wsgi.multiprocess", json!(false)),
        ("wsgi.run_once", json!(false)),
    ] {
        assert_eq!(environ[name], value, "{name}");
    }
    for absent in ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_PROXY"] {
        assert_eq!(environ[absent], Value::Null, "{absent}");
    }
}
