//! A flood of errors is no flood of lines, and hides no other error; and each
//! request has an id by which its lines are found.

use std::io::Write;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::fcgi::{self, Answer};
use crate::harness::flupd::Serve;
use crate::harness::{app, wait};

fn ask(stream: &mut UnixStream, target: &str) -> Answer {
    stream.write_all(&fcgi::request(1, fcgi::KEEP_CONN, "GET", target, b"")).unwrap();
    Answer::read(stream, 1).unwrap()
}

/// Of each second's tracebacks that are the same the first are logged in full, the
/// others counted; one that is another stands there in full.
#[test]
fn tracebacks_that_are_the_same_are_counted() {
    let serve = Serve::app(&app("wrong.py")).args(["--log-format", "json"]);
    let flupd = serve.args(["--workers", "3", "--threads", "1"]).on_fastcgi();
    let mut stream = flupd.connect();
    for number in 0..300 {
        let what = if number == 150 { "/none-body" } else { "/raises" };
        assert!(ask(&mut stream, what).text().starts_with("Status: 500"));
    }
    let lines = || -> Vec<Value> {
        flupd.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let said = |word: &str| {
        let full =
            |line: &&Value| line["message"] == "app error" && line.to_string().contains(word);
        lines().iter().filter(full).count() as u64
    };
    let counted = || -> u64 {
        let counts = lines().into_iter().filter(|line| {
            line["message"] == "more of the same in the last second"
                && line["what"].as_str().is_some_and(|what| what.contains("Mishap"))
        });
        counts.filter_map(|line| line["more"].as_u64()).sum()
    };
    wait::until("all are told", || said("Mishap") + counted() == 299);
    assert!(counted() > 0 && said("Mishap") >= 10, "{} {}", counted(), said("Mishap"));
    assert_eq!(said("TypeError"), 1);
}

/// Requests that no app has.
#[test]
fn refusals_of_a_listener_are_counted() {
    let text = format!(
        "[[listen]]\nfastcgi = \"unix:app.sock\"\n[apps.shop]\napp = \"{}\"\nprefix = \"/shop\"\n",
        app("wrong.py")
    );
    let flupd = Serve::config(&text).on_its_socket();
    let mut stream = flupd.connect();
    for number in 0..200 {
        assert!(ask(&mut stream, &format!("/x{number}")).text().starts_with("Status: 404"));
    }
    flupd.wait_for_log("more of the same in the last second more=");
    let log = flupd.log();
    let full = log.lines().filter(|line| line.contains("request refused")).count();
    assert!((10..200).contains(&full), "{log}");
    assert!(log.contains("GET /x0"), "{log}");
}

/// Where the web server sends no id, flupd makes one if it is asked to: the app,
/// the log and the access log have the same.
#[test]
fn ids_are_made_where_there_are_none() {
    let serve = Serve::app(&app("wrong.py")).args(["--make-request-ids"]);
    let access = serve.dir().join("access.log");
    let access_option = access.display().to_string();
    let flupd =
        serve.args(["--access-log", &access_option, "--access-log-format", "%L"]).on_fastcgi();
    let mut stream = flupd.connect();
    let ids: Vec<String> = (0..2).map(|_| ask(&mut stream, "/request-id").body()).collect();
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    assert_ne!(ids[0], ids[1]);
    ask(&mut stream, "/raises");
    let lines = || std::fs::read_to_string(&access).unwrap_or_default();
    wait::until("all are logged", || lines().lines().count() == 3);
    let lines: Vec<String> = lines().lines().map(str::to_owned).collect();
    assert_eq!(lines[..2], ids);
    flupd.wait_for_log(&format!("id=\"{}\"", lines[2]));

    let mut params = fcgi::request_params("GET", "/request-id", 0);
    params.push(("UNIQUE_ID".to_owned(), "theirs".to_owned()));
    let mut bytes = fcgi::begin(1, fcgi::RESPONDER, fcgi::KEEP_CONN);
    bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 65535));
    stream.write_all(&bytes).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().body(), "none");
}
