//! Request and response headers.

use serde_json::Value;

use crate::harness::ability::Ability;
use crate::harness::front::{Front, Server};
use crate::harness::http::Request;

on_servers! {
    all: many_and_large_request_headers, many_and_large_response_headers, repeated_request_headers,
        repeated_response_headers, httpoxy, redirects, statuses;
}

fn many_and_large_request_headers(front: Front) {
    let site = front.serve("echo.py");
    // lighttpd takes 8 KiB of request head, nginx four lines of up to 8 KiB.
    let (count, size) = if front.server() == Server::Nginx { (200, 7_000) } else { (60, 4_000) };
    let mut request = Request::get("/").header("X-Large", &"l".repeat(size));
    for n in 0..count {
        request = request.header(&format!("X-Many-{n}"), &format!("value {n}"));
    }
    let told = site.send(&request).json();
    for n in 0..count {
        assert_eq!(told["environ"][format!("HTTP_X_MANY_{n}")], format!("value {n}"));
    }
    assert_eq!(told["environ"]["HTTP_X_LARGE"], "l".repeat(size));
}

fn many_and_large_response_headers(front: Front) {
    let site = front.serve("answers.py");
    let count = if front.can(Ability::ManyResponseHeaders) {
        100
    } else {
        assert!(matches!(site.get("/many-headers?count=100").status, 502 | 503));
        90
    };
    let answer = site.get(&format!("/many-headers?count={count}"));
    assert_eq!(answer.status, 200);
    for n in 0..count {
        let expected = format!("value {n} {}", "v".repeat(50));
        assert_eq!(answer.header(&format!("X-Many-{n}")), Some(expected.as_str()));
    }
    assert_eq!(answer.header("X-Long"), Some("l".repeat(3000).as_str()));
}

fn repeated_request_headers(front: Front) {
    let site = front.serve("echo.py");
    let request = Request::get("/")
        .header("X-Twice", "one")
        .header("X-Twice", "two")
        .header("Cookie", "a=1")
        .header("Cookie", "b=2");
    let told = site.send(&request).json();
    assert_eq!(told["environ"]["HTTP_X_TWICE"], "one, two");
    // No browser does this in HTTP/1.1; a proxy may.
    let cookies = told["environ"]["HTTP_COOKIE"].as_str().unwrap();
    assert_eq!(cookies == "a=1; b=2", front.can(Ability::RepeatedCookies), "{cookies}");
    assert!(matches!(cookies, "a=1; b=2" | "a=1, b=2" | "a=1;b=2"), "{cookies}");
}

fn repeated_response_headers(front: Front) {
    let site = front.serve("answers.py");
    let answer = site.send(&Request::get("/cookies").header("Cookie", "in=1"));
    let cookies: Vec<_> = answer.headers("Set-Cookie").collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; Path=/"]);
    assert_eq!(answer.text(), "in=1");
}

/// CVE-2016-5385: a client's `Proxy` header must not look like the environment
/// variable HTTP_PROXY.
fn httpoxy(front: Front) {
    let site = front.serve("echo.py");
    let told = site.send(&Request::get("/").header("Proxy", "http://evil.example")).json();
    assert_eq!(told["environ"]["HTTP_PROXY"], Value::Null);
}

fn redirects(front: Front) {
    let site = front.serve("answers.py");
    let answer = site.get("/redirect");
    assert_eq!(answer.status, 302);
    let location = answer.header("Location").unwrap();
    assert!(location.ends_with("/elsewhere?x=1"), "{location}");
    assert_eq!(answer.text(), "over there\n");
}

/// A Location makes nothing else of a status than what the app said.
fn statuses(front: Front) {
    let site = front.serve("answers.py");
    for code in ["301", "303", "307", "308"] {
        let answer = site.get(&format!("/moved?status={code}"));
        assert_eq!(answer.status.to_string(), code);
        assert!(answer.header("Location").unwrap().ends_with("/elsewhere"));
    }
    let answer = site.send(&Request::post("/created", "x"));
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("X-Method"), Some("POST"));
    assert_eq!(answer.text(), "made\n");
}
