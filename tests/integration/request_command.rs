//! `flupd request`: a client with curl's habits.

use std::process::{Output, Stdio};

use crate::harness::flupd::{Flupd, Serve, command};
use crate::harness::{app, ports};

fn request(args: &[&str]) -> Output {
    command().arg("request").args(args).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn serve(name: &str) -> Flupd {
    Serve::app(&app(name)).on_fastcgi()
}

#[test]
fn body_on_stdout() {
    let flupd = serve("answers.py");
    let output = request(&[&flupd.address(), "/hello"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "hello\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn over_scgi() {
    let flupd = Serve::app(&app("answers.py")).on_scgi();
    let output = request(&["--scgi", &flupd.address(), "/hello"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "hello\n"));
}

#[test]
fn over_tcp() {
    let address = format!("127.0.0.1:{}", ports::free());
    let mut flupd = Serve::app(&app("answers.py")).args(["--fastcgi", &address]).start();
    flupd.wait_until_accepting(&address);
    assert_eq!(stdout(&request(&[&address, "/hello"])), "hello\n");
}

#[test]
fn head_with_i() {
    let flupd = serve("answers.py");
    let text = stdout(&request(&["-i", &flupd.address(), "/created", "-X", "PUT"]));
    let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap();
    assert!(head.lines().next().unwrap().contains("201 Created"), "{head}");
    assert!(head.to_lowercase().contains("x-method: put"), "{head}");
    assert_eq!(body, "made\n");
}

#[test]
fn method_headers_and_data() {
    let flupd = serve("echo.py");
    let args = ["-H", "X-One: 1", "-H", "Content-Type: text/x", "-d", "some data"];
    let output = request(&[&[flupd.address().as_str(), "/a%20b?q=1"], &args[..]].concat());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("PATH_INFO", "/a b"),
        ("SCRIPT_NAME", ""),
        ("QUERY_STRING", "q=1"),
        ("HTTP_X_ONE", "1"),
        ("CONTENT_TYPE", "text/x"),
        ("CONTENT_LENGTH", "9"),
    ] {
        assert_eq!(told["environ"][name], value, "{name}");
    }
    assert_eq!(told["body_length"], 9);
}

#[test]
fn errors_of_the_app_on_stderr() {
    let flupd = serve("answers.py");
    let output = request(&[&flupd.address(), "/errors"]);
    assert_eq!(stdout(&output), "told\n");
    assert!(stderr(&output).contains("the first line of wsgi.errors"), "{}", stderr(&output));
}

#[test]
fn exit_22_from_400_on() {
    let flupd = serve("wrong.py");
    let output = request(&[&flupd.address(), "/raises"]);
    assert_eq!(output.status.code(), Some(22), "{}", stderr(&output));
}

#[test]
fn nobody_listens() {
    let dir = crate::harness::temp_dir();
    let address = format!("unix:{}/absent.sock", dir.path().display());
    let output = request(&[&address, "/"]);
    assert!(!output.status.success() && output.status.code() != Some(22));
    assert!(stderr(&output).contains("absent.sock"), "{}", stderr(&output));
}

#[test]
fn cut_answer() {
    let flupd = serve("wrong.py");
    let output = request(&[&flupd.address(), "/raises-late"]);
    assert!(stdout(&output).starts_with("begun\n"));
    assert_eq!(output.status.code(), Some(18), "{}", stderr(&output));
    assert!(stderr(&output).contains("the answer was cut"), "{}", stderr(&output));
}

#[test]
fn version_names_the_build() {
    let output = command().arg("--version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.starts_with("flupd "), "{text}");
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}
