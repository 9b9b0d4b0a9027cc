//! A script that Apache asks who may pass, with mod_fcgid.

use std::fs;

use rustix::process::Signal;

use super::way::{Site, apache_with};
use crate::harness::example::Example;
use crate::harness::flupd::Serve;
use crate::harness::http::{Request, Response};
use crate::harness::script::Script;
use crate::harness::{app, lighttpd, source};

const EXAMPLE: &str = "apache-examples/mod_fcgid-authorizer.conf";
pub const COOKIE: (&str, &str) = ("Cookie", "session=0fd1b7c2");
/// `alice:sesame`, a member.
const ALICE: (&str, &str) = ("Authorization", "Basic YWxpY2U6c2VzYW1l");
/// `bob:mellon`, who is known but no member.
const BOB: (&str, &str) = ("Authorization", "Basic Ym9iOm1lbGxvbg==");
/// `alice:mellon`
const WRONG: (&str, &str) = ("Authorization", "Basic YWxpY2U6bWVsbG9u");

/// The example with its guard changed, and itself.
pub fn changed(
    change: impl FnOnce(String) -> String,
    example: impl FnOnce(Example) -> Example,
) -> Site {
    let script = site();
    let guard = fs::read_to_string(script.file("guard.fcgi")).unwrap();
    fs::write(script.file("guard.fcgi"), change(guard)).unwrap();
    apache_with(script, EXAMPLE, example)
}

/// The examples, with an app and a file behind them.
fn site() -> Script {
    let script = Script::of("roles.py", "");
    script.add(&source("script-examples/guard.fcgi"));
    fs::create_dir(script.file("files")).unwrap();
    fs::write(script.file("files/page.txt"), "for members\n").unwrap();
    script
}

fn get(site: &Site, target: &str, header: Option<(&str, &str)>) -> Response {
    let request = Request::get(target);
    site.send(&match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    })
}

#[test]
fn apache_asks_by_a_cookie() {
    let site = apache_with(site(), EXAMPLE, |example| example);
    for header in [None, Some(("Cookie", "session=other")), Some(ALICE)] {
        let answer = get(&site, "/members/x?q=1", header);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let answer = get(&site, "/members/x?q=1", Some(COOKIE));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("Variable-MEMBER"), None, "the client learns what is the app's");
    let told = answer.json();
    assert_eq!((&told["flupd.role"], &told["MEMBER"]), (&"responder".into(), &"alice".into()));
    assert_eq!((&told["SCRIPT_NAME"], &told["PATH_INFO"]), (&"/members".into(), &"/x".into()));
    assert_eq!(told["QUERY_STRING"], "q=1");
}

#[test]
fn apache_asks_by_name_and_password() {
    let site = apache_with(site(), EXAMPLE, |example| example);
    for header in [None, Some(COOKIE), Some(BOB), Some(WRONG)] {
        let answer = get(&site, "/files/page.txt", header);
        assert_eq!(answer.status, 401, "{header:?}: {answer:?}");
        let asks = answer.header("WWW-Authenticate");
        assert_eq!(asks, Some("Basic realm=\"members\""), "{header:?}");
    }
    let answer = get(&site, "/files/page.txt", Some(ALICE));
    assert_eq!((answer.status, answer.text()), (200, "for members\n".into()));
    assert_eq!(answer.header("Variable-MEMBER"), None, "the client learns what is the app's");
    assert_eq!(get(&site, "/files/no-such", Some(ALICE)).status, 404);
    assert!(!site.log().contains("AuthUserFile"), "{}", site.log());
}

/// As the example says: without the second directive.
#[test]
fn apache_asks_by_name_and_password_alone() {
    let site = apache_with(site(), EXAMPLE, |example| {
        example.replace("        FcgidAuthorizer \"", "        #FcgidAuthorizer \"")
    });
    assert_eq!(get(&site, "/files/page.txt", Some(BOB)).status, 200);
    assert_eq!(get(&site, "/files/page.txt", Some(WRONG)).status, 401);
}

/// A guard without `--role authorizer`, one that fails and one that can't start let
/// nobody pass, and the log says why.
#[test]
fn a_guard_that_can_not_answer_lets_nobody_pass() {
    for (old, new, why) in [
        ("# flupd: --role", "# was: --role", "End of script output before headers"),
        ("user = QUESTIONS", "user = 1 / 0 or QUESTIONS", "ZeroDivisionError"),
        ("import hmac", "import no_such_module", "no_such_module"),
    ] {
        let site = changed(
            |guard| {
                assert!(guard.contains(old));
                guard.replace(old, new)
            },
            |example| example,
        );
        for (target, header) in [("/members/x", COOKIE), ("/files/page.txt", ALICE)] {
            let answer = get(&site, target, Some(header));
            assert!(answer.status >= 400, "{new}: {answer:?}");
            assert!(!answer.text().contains("for members"), "{new}: {answer:?}");
        }
        site.wait_for_log(why);
    }
}

/// lighttpd starts the guard, and asks it before another app.
#[test]
fn lighttpd_starts_a_guard() {
    let script = Script::of("roles.py", "--role authorizer");
    fs::rename(script.path(), script.file("guard.fcgi")).unwrap();
    let behind = Serve::app(&app("roles.py")).on_fastcgi();
    let example = Example::open("lighttpd-examples/authorizer.conf")
        .guard(&script.file("guard.sock"))
        .socket(&behind.socket())
        .uncomment("\"bin-path\"")
        .site(script.dir());
    let mut web = lighttpd::start_with(&example, |command| {
        command.env("PATH", script.search_path()).env_remove("VIRTUAL_ENV");
    });
    let ask = |request: Request| request.send(web.address()).unwrap();
    let refused = ask(Request::get("/app/x"));
    assert_eq!((refused.status, refused.text()), (401, "say the word\n".into()));
    // someone:sesame
    let known = ("Authorization", "Basic c29tZW9uZTpzZXNhbWU=");
    let told = ask(Request::get("/app/x?q=1").header(known.0, known.1)).json();
    assert_eq!((&told["REMOTE_USER"], &told["ASKED"]), (&"alice".into(), &"/app/x".into()));
    web.stop(Signal::TERM);
    script.wait_until_gone();
}
