//! Where flupd makes no spans, it passes on what the web server sends, and its logs
//! name the trace.

use std::fs;
use std::io::Write;

use serde_json::Value;

use crate::harness::fcgi;
use crate::harness::flupd::{self, Serve};
use crate::harness::front::Front;
use crate::harness::http::Request;
use crate::harness::{app, wait};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn header() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

on_servers! {
    all: both_headers_reach_the_app;
}

fn both_headers_reach_the_app(front: Front) {
    let site = front.serve("echo.py");
    let request =
        Request::get("/").header("traceparent", &header()).header("tracestate", "a=1,b@c=t:2");
    let environ = &site.send(&request).json()["environ"];
    assert_eq!(environ["HTTP_TRACEPARENT"], header());
    assert_eq!(environ["HTTP_TRACESTATE"], "a=1,b@c=t:2");
}

/// What is no trace is the app's business, not flupd's.
#[test]
fn what_is_no_trace_is_passed_on_too() {
    let serve = Serve::app(&app("echo.py"));
    let serve = serve.args(["--access-log", "access.log"]);
    let access = serve.dir().join("access.log");
    let format = "%{trace_id}x %{traceparent}i";
    let site = Front::NginxFastcgi.serve_with(serve.args(["--access-log-format", format]));
    let broken = [header().to_uppercase(), "00".to_owned(), "x".repeat(4000), "00-é".to_owned()];
    for sent in &broken {
        let answer = site.send(&Request::get("/").header("traceparent", sent));
        assert_eq!(answer.status, 200, "{sent}");
        let environ = &answer.json()["environ"];
        let got: Vec<u8> =
            environ["HTTP_TRACEPARENT"].as_str().unwrap().chars().map(|c| c as u8).collect();
        assert_eq!(got, sent.as_bytes());
    }
    // Twice the same header: as one list, which is no trace (section 3.3).
    let twice = Request::get("/").header("traceparent", &header()).header("Traceparent", &header());
    let environ = &site.send(&twice).json()["environ"];
    assert_eq!(environ["HTTP_TRACEPARENT"], format!("{0}, {0}", header()));
    let good = Request::get("/").header("traceparent", &header());
    assert_eq!(site.send(&good).status, 200);
    let lines = || fs::read_to_string(&access).unwrap_or_default();
    wait::until("all are logged", || lines().lines().count() == broken.len() + 2);
    let text = lines();
    let (others, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(last, format!("{TRACE} {}", header()));
    assert!(others.lines().all(|line| line.starts_with("- ")), "{others}");
}

/// Who sees that a request is slow can look for its trace.
#[test]
fn status_and_slow_log_name_the_trace() {
    for mode in [&["--threads", "1"][..], &["--solo"]] {
        let serve = Serve::app(&app("stuck.py")).args(mode).args(["--slow-request", "0.2"]);
        let flupd = serve.on_fastcgi();
        let (started, gate) = (flupd.file("started"), flupd.file("gate"));
        let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
        let mut params = fcgi::request_params("GET", &target, 0);
        params.push(("HTTP_TRACEPARENT".to_owned(), header()));
        let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
        bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
        bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 65535));
        let mut stream = flupd.connect();
        stream.write_all(&bytes).unwrap();
        let wanted = format!("trace_id=\"{TRACE}\"");
        wait::until("the slow request is logged with its trace", || {
            flupd.log().lines().any(|line| line.contains("slow request") && line.contains(&wanted))
        });
        let said = |words: &[&str]| {
            let mut command = flupd::command();
            command.args(words).arg("--control").arg(flupd.file("app.sock.control"));
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let status: Value = serde_json::from_str(&said(&["status", "--json"])).unwrap();
        let requests = status.pointer("/requests").or(status.pointer("/snapshot/requests"));
        assert_eq!(requests.unwrap()[0]["trace_id"], TRACE, "{status}");
        let text = said(&["trace"]);
        assert!(text.contains(&format!(", trace {TRACE}\n")), "{text}");
        fs::write(gate, "").unwrap();
        assert!(fcgi::Answer::read(&mut stream, 1).unwrap().text().starts_with("Status: 200"));
    }
}
