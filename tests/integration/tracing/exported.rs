//! flupd's spans between those of the client and those of the app.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::collector::{Collector, moment, of, traced};
use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::{FLUPD, Flupd, Serve};
use crate::harness::front::{Front, Site};
use crate::harness::http::Request;
use crate::harness::process::Process;
use crate::harness::script::Script;
use crate::harness::{app, is_root, ports, wait};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn header(flags: &str) -> String {
    format!("00-{TRACE}-{CLIENT}-{flags}")
}

/// An app that tells what it got, and spans for this collector.
fn echo(collector: &Collector) -> Serve {
    Serve::app(&app("echo.py")).args(["--otlp", &collector.url()])
}

/// The trace, the span and the flags in a header.
fn parts(header: &Value) -> [String; 3] {
    let parts: Vec<_> = header.as_str().unwrap().split('-').collect();
    let [_, trace, span, flags] = *parts else { panic!("{header}") };
    [trace, span, flags].map(str::to_owned)
}

#[test]
fn client_flupd_and_flask_are_one_trace() {
    for (front, args) in [
        (Front::NginxFastcgi, &[][..]),
        (Front::NginxScgi, &["--preload"][..]),
        (Front::NginxSolo, &[]),
    ] {
        let collector = Collector::start("takes");
        let site = front.serve_with(traced(&collector).args(args));
        let request = Request::get("/items/7?sleep=0.05&sig=secret")
            .header("traceparent", &header("01"))
            .header("tracestate", "vendor=x")
            .header("User-Agent", "tests");
        let told = site.send(&request).json();
        let spans = collector.wait_for(2);
        let (flupd, flask) = (of(&spans, "flupd"), of(&spans, "flask"));
        // Client → flupd → Flask.
        assert_eq!((&flupd["trace"], &flask["trace"]), (&json!(TRACE), &json!(TRACE)), "{front:?}");
        assert_eq!((&flupd["parent"], &flask["parent"]), (&json!(CLIENT), &flupd["span"]));
        assert_eq!(parts(&told["HTTP_TRACEPARENT"])[1], flupd["span"]);
        assert_eq!(
            (&told["HTTP_TRACESTATE"], &flupd["state"]),
            (&json!("vendor=x"), &json!("vendor=x"))
        );
        assert_eq!((&flupd["flags"], &flupd["kind"]), (&json!(0x301), &json!("SPAN_KIND_SERVER")));
        assert_eq!((&flupd["name"], &flupd["failed"]), (&json!("GET"), &json!(false)));
        // The app's time lies in flupd's, as right as two processes can know it.
        let [begun, app_begun, app_ended, ended] =
            [&flupd["start"], &flask["start"], &flask["end"], &flupd["end"]].map(moment);
        let before = |one: u64, other: u64| one <= other + 20_000_000;
        assert!(before(begun, app_begun) && before(app_ended, ended), "{spans:#?}");
        let names = ["received", "taken", "app_begun", "answer_begun", "app_ended"];
        let events = flupd["events"].as_array().unwrap();
        let at = names.map(|name| {
            let event = events.iter().find(|event| event[0] == format!("flupd.{name}"));
            moment(&event.unwrap_or_else(|| panic!("{name}: {flupd:#}"))[1])
        });
        assert_eq!(events.len(), names.len());
        assert!(at.iter().all(|at| (begun..=ended).contains(at)), "{flupd:#}");
        assert!(before(at[2], app_begun) && before(app_ended, at[4]), "{spans:#?}");

        let attributes = &flupd["attributes"];
        for (name, value) in [
            ("http.request.method", json!("GET")),
            ("url.path", json!("/items/7")),
            ("url.query", json!("sleep=0.05&sig=REDACTED")),
            ("url.scheme", json!("http")),
            ("client.address", json!("127.0.0.1")),
            ("network.protocol.version", json!("1.1")),
            ("user_agent.original", json!("tests")),
            ("http.response.status_code", json!(200)),
            ("flupd.outcome", json!("complete")),
            ("flupd.worker", json!(1)),
            ("flupd.generation", json!(1)),
        ] {
            assert_eq!(attributes[name], value, "{front:?} {name}");
        }
        for name in ["server.port", "client.port", "flupd.worker.pid", "flupd.worker.thread"] {
            assert!(attributes[name].is_number(), "{name}: {flupd:#}");
        }
        assert!(attributes["flupd.app.duration"].as_f64().unwrap() >= 0.05);
        assert!(attributes.get("error.type").is_none());
        assert_eq!(flupd["resource"]["service.name"], "flupd");
    }
}

/// What can't be used is no parent, and what came with it is dropped.
#[test]
fn without_a_usable_parent_a_trace_begins() {
    let collector = Collector::start("takes");
    let format = ["--access-log", "access.log", "--access-log-format", "%{trace_id}x"];
    let site = Front::NginxKeepConn.serve_with(echo(&collector).args(format));
    let broken = [
        None,
        Some(header("01").to_uppercase()),
        Some(format!("00-{}-{CLIENT}-01", "0".repeat(32))),
        Some("x".repeat(3000)),
    ];
    for sent in &broken {
        let mut request = Request::get("/").header("tracestate", "vendor=x");
        if let Some(sent) = sent {
            request = request.header("traceparent", sent);
        }
        let environ = &site.send(&request).json()["environ"];
        let [trace, span, flags] = parts(&environ["HTTP_TRACEPARENT"]);
        assert_eq!((trace == TRACE, &*flags), (false, "03"), "{sent:?}");
        assert_eq!(environ.get("HTTP_TRACESTATE"), None, "{sent:?}");
        let spans = collector.wait_for(1 + broken.iter().position(|other| other == sent).unwrap());
        let own = spans.last().unwrap();
        assert_eq!(
            (&own["trace"], &own["span"], &own["parent"]),
            (&json!(trace), &json!(span), &json!(""))
        );
        assert_eq!((&own["state"], &own["flags"]), (&json!(""), &json!(3)));
    }
    // The access log names the same traces.
    let access = site.flupd.file("access.log");
    let lines = || fs::read_to_string(&access).unwrap_or_default();
    wait::until("all are logged", || lines().lines().count() == broken.len());
    let traces: Vec<_> = collector.spans().iter().map(|span| span["trace"].clone()).collect();
    assert_eq!(lines().lines().collect::<Vec<_>>(), traces);
    // Later versions are understood as far as they are known.
    let later = format!("cc-{TRACE}-{CLIENT}-01-what");
    let environ = &site.send(&Request::get("/").header("traceparent", &later)).json()["environ"];
    let [trace, span, flags] = parts(&environ["HTTP_TRACEPARENT"]);
    assert_eq!((&*trace, span == CLIENT, &*flags), (TRACE, false, "01"));
    let traceparent = environ["HTTP_TRACEPARENT"].as_str().unwrap();
    assert!(traceparent.starts_with("00-") && traceparent.len() == 55);
}

/// Whether a caller records the trace is heeded; of new ones a share is taken. The app
/// hears of it.
#[test]
fn samplers_are_heeded() {
    let flags = |site: &Site, sent: Option<&str>| {
        let mut request = Request::get("/");
        if let Some(sent) = sent {
            request = request.header("traceparent", &header(sent));
        }
        parts(&site.send(&request).json()["environ"]["HTTP_TRACEPARENT"])[2].clone()
    };
    let collector = Collector::start("takes");
    let site = Front::NginxFastcgi.serve_with(echo(&collector).args(["--otlp-sample", "0%"]));
    assert_eq!([flags(&site, None), flags(&site, Some("00"))], ["02", "00"]);
    assert_eq!(flags(&site, Some("01")), "01");
    assert_eq!(collector.wait_for(1)[0]["trace"], TRACE);

    let serve = echo(&collector).env("OTEL_TRACES_SAMPLER", "always_on");
    let site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!([flags(&site, None), flags(&site, Some("00"))], ["03", "01"]);
    assert_eq!(collector.wait_for(3).len(), 3);

    let serve = echo(&collector).env("OTEL_SDK_DISABLED", "true");
    let site = Front::NginxFastcgi.serve_with(serve);
    assert_eq!(flags(&site, Some("00")), "00");
}

#[test]
fn the_environment_says_who_and_where() {
    let collector = Collector::start("takes");
    let serve = Serve::app(&app("echo.py"))
        .args(["--otlp", "env"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=k%201")
        .env("OTEL_SERVICE_NAME", "shop")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let flupd = serve.on_fastcgi();
    ask(&flupd, "/");
    let span = collector.wait_for(1).remove(0);
    assert_eq!(span["resource"]["service.name"], "shop");
    assert_eq!(span["resource"]["deployment.environment.name"], "test");
    assert!(span["resource"]["host.name"].is_string() && span["schema"].is_string());
    let headers = span["headers"].as_object().unwrap();
    let sent = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-api-key"));
    assert_eq!(sent.unwrap().1, "k 1");
}

fn ask(flupd: &Flupd, target: &str) -> Answer {
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", target, b"")).unwrap();
    Answer::read(&mut stream, 1).unwrap()
}

/// A client that goes is told of, and is nobody's failure.
#[test]
fn a_client_that_goes_has_a_span() {
    let collector = Collector::start("takes");
    let flupd = Serve::app(&app("stuck.py")).args(["--otlp", &collector.url()]).on_fastcgi();
    let (started, gate) = (flupd.file("started"), flupd.file("gate"));
    let target = format!("/hold?started={}&gate={}", started.display(), gate.display());
    let mut stream = flupd.connect();
    stream.write_all(&fcgi::request(1, 0, "GET", &target, b"")).unwrap();
    wait::until("the app has it", || started.exists());
    drop(stream);
    let span = collector.wait_for(1).remove(0);
    fs::write(gate, "").unwrap();
    let attributes = &span["attributes"];
    assert_eq!((&attributes["flupd.outcome"], &span["failed"]), (&json!("aborted"), &json!(false)));
    assert_eq!(attributes.get("http.response.status_code"), None);
}

/// A script that serves alone exports as well; its options stand in it.
#[test]
fn a_script_exports_too() {
    let collector = Collector::start("takes");
    let user = if is_root() { "--user root" } else { "" };
    let script = Script::of("echo.py", &format!("{user} --otlp {}", collector.url()));
    let port = ports::free();
    let mut command = Command::new(FLUPD);
    command.args(["run", "--fastcgi", &format!("127.0.0.1:{port}")]).arg(script.path());
    let mut flupd = Process::start("flupd", command.stdin(Stdio::null()), script.file("log"));
    let connect = || TcpStream::connect(("127.0.0.1", port));
    wait::until("the script accepts connections", || connect().is_ok());
    let mut stream = connect().unwrap();
    stream.write_all(&fcgi::request(1, 0, "GET", "/", b"")).unwrap();
    assert!(Answer::read(&mut stream, 1).unwrap().text().contains("HTTP_TRACEPARENT"));
    flupd.signal(Signal::TERM);
    flupd.wait();
    assert_eq!(of(&collector.wait_for(1), "flupd")["attributes"]["flupd.outcome"], "complete");
}

/// A request that fails, in the app or in flupd, has a span that says why.
#[test]
fn failures_say_of_which_kind() {
    let collector = Collector::start("takes");
    let site = Front::NginxFastcgi.serve_with(traced(&collector));
    assert_eq!(site.get("/fails").status, 500);
    let spans = collector.wait_for(2);
    let flupd = of(&spans, "flupd");
    assert_eq!(
        (&flupd["failed"], &flupd["attributes"]["error.type"]),
        (&json!(true), &json!("500"))
    );

    let collector = Collector::start("takes");
    let flupd = Serve::app(&app("wrong.py"))
        .args(["--otlp", &collector.url(), "--max-body", "5"])
        .on_fastcgi();
    let mut count = 0;
    let mut span_of = |target: &str, method: &str, body: &[u8]| {
        let mut stream = flupd.connect();
        stream.write_all(&fcgi::request(1, 0, method, target, body)).unwrap();
        // A cut answer has no end.
        let _ = Answer::read(&mut stream, 1);
        count += 1;
        collector.wait_for(count).pop().unwrap()
    };
    let large = span_of("/", "POST", b"123456");
    assert_eq!(large["failed"], false, "{large:#}");
    assert_eq!(large["attributes"]["flupd.refused"], "body_too_large");
    assert_eq!(large["attributes"]["http.response.status_code"], 413);
    assert_eq!(large["name"], "POST");
    let cut = span_of("/raises-late", "GET", b"");
    assert_eq!((&cut["failed"], &cut["attributes"]["error.type"]), (&json!(true), &json!("cut")));
    assert_eq!(cut["attributes"]["http.response.status_code"], 200);
    let died = span_of("/os-exit", "POST", b"");
    assert_eq!(died["failed"], true, "{died:#}");
    assert_eq!(died["attributes"]["error.type"], "worker_lost");
    assert_eq!(died["attributes"]["http.response.status_code"], 502);
    assert!(!died["why"].as_str().unwrap().is_empty());
}
