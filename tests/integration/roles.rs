//! Authorizers and Filters, record by record and behind web servers.

use std::fs;
use std::io::Write;

use crate::harness::example::Example;
use crate::harness::fcgi::{self, Answer, KEEP_CONN};
use crate::harness::flupd::{Flupd, Serve, command};
use crate::harness::http::Request;
use crate::harness::{apache, app, lighttpd, ports, temp_dir, wait};

const AUTHORIZER: u16 = 2;
const FILTER: u16 = 3;
const DATA: u8 = 8;
/// `someone:sesame`
const PASSWORD: (&str, &str) = ("Authorization", "Basic c29tZW9uZTpzZXNhbWU=");

fn serve(args: &[&str]) -> Flupd {
    Serve::app(&app("roles.py")).args(args).on_fastcgi()
}

/// What a web server sends to an authorizer (section 6.3).
fn asking(id: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut params = fcgi::request_params("POST", "/cave?q=1", 0);
    params.retain(|(name, _)| name != "CONTENT_LENGTH");
    let headers = headers.iter().map(|(name, value)| {
        (format!("HTTP_{}", name.to_uppercase().replace('-', "_")), (*value).to_owned())
    });
    params.extend(headers);
    let mut bytes = fcgi::begin(id, AUTHORIZER, KEEP_CONN);
    bytes.extend(fcgi::stream(fcgi::PARAMS, id, &fcgi::pairs(&params), 100));
    bytes
}

#[test]
fn authorizer_is_asked_without_a_body() {
    for mode in [&["--role", "authorizer"][..], &["--role", "authorizer", "--solo"]] {
        let flupd = serve(mode);
        let mut stream = flupd.connect();
        stream.write_all(&asking(1, &[PASSWORD])).unwrap();
        let answer = Answer::read(&mut stream, 1).unwrap();
        assert!(answer.text().starts_with("Status: 200 OK\r\n"), "{}", answer.text());
        assert!(answer.text().contains("Variable-REMOTE_USER: alice\r\n"), "{}", answer.text());
        assert!(answer.text().contains("Variable-ASKED: /cave\r\n"), "{}", answer.text());
        // Apache's mod_fcgid would take its length for that of the answer behind.
        assert!(!answer.text().contains("Content-Length"), "{}", answer.text());
        assert_eq!(answer.body(), "");
        // With the empty STDIN that lighttpd sends.
        let mut denied = asking(2, &[]);
        denied.extend(fcgi::record(fcgi::STDIN, 2, &[]));
        stream.write_all(&denied).unwrap();
        let answer = Answer::read(&mut stream, 2).unwrap();
        assert!(answer.text().starts_with("Status: 401 Unauthorized\r\n"), "{}", answer.text());
        assert_eq!(answer.body(), "say the word\n");
    }
}

/// Params for a filter of this much, and both its streams in records of `size`.
fn filtering(id: u16, body: &[u8], data: &[u8], size: usize) -> Vec<u8> {
    let mut params = fcgi::request_params("POST", "/file", body.len());
    params.push(("FCGI_DATA_LENGTH".into(), data.len().to_string()));
    params.push(("FCGI_DATA_LAST_MOD".into(), "1700000000".into()));
    let mut bytes = fcgi::begin(id, FILTER, KEEP_CONN);
    bytes.extend(fcgi::stream(fcgi::PARAMS, id, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, id, body, size));
    bytes.extend(fcgi::stream(DATA, id, data, size));
    bytes
}

/// Of any size: in memory, in shared memory, in a file.
#[test]
fn filter_gets_the_file() {
    for mode in [&["--role", "filter"][..], &["--role", "filter", "--solo"]] {
        let flupd = serve(mode);
        let mut stream = flupd.connect();
        for (id, body, data) in [
            (1, 0, 0),
            (2, 3, 10),
            (3, 100, 40_000),
            (4, 40_000, 5),
            (5, 2_000_000, 300_000),
            (6, 300_000, 2_000_000),
            (7, 0, 1_500_000),
        ] {
            let body = vec![b'b'; body];
            let data: Vec<u8> = b"a line\nof data ".iter().copied().cycle().take(data).collect();
            let bytes = filtering(id, &body, &data, 8000);
            let mut writer = stream.try_clone().unwrap();
            let sent = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
            let answer = Answer::read(&mut stream, id).unwrap();
            sent.join().unwrap();
            let expected = [&body[..], b"|1700000000|", &data.to_ascii_uppercase()].concat();
            assert_eq!(answer.body().into_bytes(), expected, "{id}");
        }
    }
}

#[test]
fn filter_must_get_what_was_promised() {
    let flupd =
        Serve::app(&app("roles.py")).args(["--role", "filter", "--max-body", "1M"]).on_fastcgi();
    let mut stream = flupd.connect();
    let mut short = filtering(1, b"", b"data", 100);
    short.drain(short.len() - 20..short.len() - 8);
    stream.write_all(&short).unwrap();
    let answer = Answer::read(&mut stream, 1).unwrap();
    assert!(answer.text().starts_with("Status: 400 "), "{}", answer.text());
    stream.write_all(&filtering(2, b"", &vec![0; (1 << 20) + 1], 60_000)).unwrap();
    let answer = Answer::read(&mut stream, 2).unwrap();
    assert!(answer.text().starts_with("Status: 413 "), "{}", answer.text());
    stream.write_all(&filtering(3, b"b", b"d", 100)).unwrap();
    assert_eq!(Answer::read(&mut stream, 3).unwrap().body(), "b|1700000000|D");
}

/// Responders alone if nothing is said; else those that are named and no other.
#[test]
fn roles_are_limited() {
    for (args, accepted) in [
        (&[][..], [true, false, false]),
        (&["--role", "authorizer"], [false, true, false]),
        (&["--role", "filter", "--role", "responder"], [true, false, true]),
    ] {
        let flupd = serve(args);
        let mut stream = flupd.connect();
        let requests = [
            fcgi::request(1, KEEP_CONN, "GET", "/", b""),
            asking(2, &[PASSWORD]),
            filtering(3, b"", b"d", 100),
        ];
        for (id, (request, accepted)) in (1..).zip(requests.iter().zip(accepted)) {
            stream.write_all(request).unwrap();
            let answer = Answer::read(&mut stream, id).unwrap();
            let (_, protocol_status) = answer.end.unwrap();
            assert_eq!(protocol_status, if accepted { 0 } else { 3 }, "{args:?}: role {id}");
            assert_eq!(answer.text().starts_with("Status: 200"), accepted, "{args:?}: role {id}");
        }
    }
}

/// The log says what was asked and what to set, once a second at most.
#[test]
fn refused_roles_are_logged() {
    let flupd = serve(&[]);
    let mut stream = flupd.connect();
    for id in 1..200 {
        stream.write_all(&asking(id, &[PASSWORD])).unwrap();
        assert_eq!(Answer::read(&mut stream, id).unwrap().end.unwrap().1, 3);
    }
    let why = "request refused: its role is for apps with this --role only";
    flupd.wait_for_log(why);
    let lines: Vec<_> =
        flupd.log().lines().filter(|line| line.contains(why)).map(str::to_owned).collect();
    assert!(lines[0].contains("role=\"authorizer\""), "{lines:?}");
    assert!(lines.len() < 20, "{}", lines.len());

    let mut stream = flupd.connect();
    stream.write_all(&fcgi::begin(1, 77, 0)).unwrap();
    assert_eq!(Answer::read(&mut stream, 1).unwrap().end.unwrap().1, 3);
    wait::until("the unknown number is logged", || {
        stream = flupd.connect();
        stream.write_all(&fcgi::begin(1, 77, 0)).unwrap();
        flupd.log().contains("FastCGI has no role of this number")
            && flupd.log().contains("role=77")
    });
}

#[test]
fn request_command_asks_in_any_role() {
    let flupd = serve(&["--role", "authorizer", "--role", "filter"]);
    let file = flupd.file("page.html");
    fs::write(&file, "a page\n").unwrap();
    let ask = |args: &[&str]| {
        let output = command().args(["request", &flupd.address(), "/x"]).args(args).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, _) = ask(&["--role", "authorizer"]);
    assert_eq!((code, &*stdout), (Some(22), "say the word\n"));
    let header = format!("{}: {}", PASSWORD.0, PASSWORD.1);
    let (code, stdout, _) = ask(&["--role", "authorizer", "-i", "-H", &header]);
    assert!(code == Some(0) && stdout.contains("Variable-ASKED: /x"), "{stdout}");
    let (code, stdout, _) = ask(&["--role=filter", "--file", file.to_str().unwrap(), "-d", "body"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("body|1") && stdout.ends_with("|A PAGE\n"), "{stdout}");
    let (code, _, stderr) = ask(&["--role=filter", "--file", "/no/such"]);
    assert!(code == Some(26) && stderr.contains("--file /no/such: No such file"), "{stderr}");
    let (code, _, stderr) = ask(&[]);
    assert!(code == Some(1) && stderr.contains("UNKNOWN_ROLE"), "{stderr}");
}

/// What the params claim to be ours is left out.
#[test]
fn a_web_server_cannot_set_the_role() {
    let flupd = serve(&[]);
    let mut params = fcgi::request_params("GET", "/", 0);
    params.push(("flupd.role".into(), "authorizer".into()));
    let mut bytes = fcgi::begin(1, fcgi::RESPONDER, 0);
    bytes.extend(fcgi::stream(fcgi::PARAMS, 1, &fcgi::pairs(&params), 65535));
    bytes.extend(fcgi::stream(fcgi::STDIN, 1, b"", 1));
    let mut stream = flupd.connect();
    stream.write_all(&bytes).unwrap();
    let told: serde_json::Value =
        serde_json::from_str(&Answer::read(&mut stream, 1).unwrap().body()).unwrap();
    assert_eq!(told["flupd.role"], "responder");
}

/// The example's guard before an app, and before files.
#[test]
fn lighttpd_asks_an_authorizer() {
    let site = temp_dir();
    fs::create_dir(site.path().join("members")).unwrap();
    fs::write(site.path().join("members/page.html"), "for members\n").unwrap();
    let guard = serve(&["--role", "authorizer"]);
    let behind = serve(&[]);
    let example = || {
        let example = Example::open("lighttpd-examples/authorizer.conf");
        example.guard(&guard.socket()).socket(&behind.socket())
    };
    let known = |target: &str| Request::get(target).header(PASSWORD.0, PASSWORD.1);

    let web = lighttpd::start(&example());
    let files = lighttpd::start(&example().uncomment("\"docroot\"").site(site.path()));
    for (web, target) in [(&web, "/app/x"), (&files, "/page.html"), (&files, "/no-such")] {
        let answer = Request::get(target).send(web.address()).unwrap();
        assert_eq!((answer.status, answer.text()), (401, "say the word\n".into()), "{target}");
        assert_eq!(answer.header("WWW-Authenticate"), Some("Basic realm=\"cave\""));
    }
    let told = known("/app/x?q=1").send(web.address()).unwrap().json();
    assert_eq!((&told["REMOTE_USER"], &told["ASKED"]), (&"alice".into(), &"/app/x".into()));
    assert_eq!((&told["flupd.role"], &told["PATH_INFO"]), (&"responder".into(), &"/x".into()));
    let answer = known("/page.html").send(files.address()).unwrap();
    assert_eq!((answer.status, answer.text()), (200, "for members\n".into()));
    assert_eq!(known("/no-such").send(files.address()).unwrap().status, 404);
}

/// The example: by name and password, and by anything else.
#[test]
fn apache_asks_an_authorizer() {
    let serve = |args: &[&str]| {
        let address = format!("127.0.0.1:{}", ports::free());
        let serve = Serve::app(&app("roles.py")).args(args).args(["--fastcgi", &address]);
        let mut flupd = serve.start();
        flupd.wait_until_accepting(&address);
        (flupd, address)
    };
    let (_guard, guard) = serve(&["--role", "authorizer"]);
    let (_behind, behind) = serve(&[]);
    let example = Example::open("apache-examples/authorizer.conf");
    let example = example.tcp("127.0.0.1:9001", &guard).tcp("127.0.0.1:9000", &behind);
    let web = apache::start(&example);
    for (target, body) in [("/basic/x", None), ("/members/x", Some("say the word\n"))] {
        let answer = Request::get(target).send(web.address()).unwrap();
        assert_eq!(answer.status, 401, "{target}: {answer:?}");
        assert!(body.is_none_or(|body| answer.text() == body), "{target}: {answer:?}");
        assert!(answer.header("WWW-Authenticate").is_some(), "{target}: {answer:?}");
        let basic = target.starts_with("/basic");
        let (name, value) = if basic { PASSWORD } else { ("Cookie", "word=sesame") };
        let told = Request::get(target).header(name, value).send(web.address()).unwrap().json();
        assert_eq!(told["ASKED"], target, "{told}");
        assert_eq!(told["REMOTE_USER"], if basic { "someone" } else { "alice" }, "{told}");
    }
}
