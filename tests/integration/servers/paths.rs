//! SCRIPT_NAME and PATH_INFO, with nothing configured for it.

use crate::harness::ability::Ability;
use crate::harness::app;
use crate::harness::flupd::Serve;
use crate::harness::front::Front;

on_servers! { core: path_info; all: script_name_given; }

/// The bytes of a UTF-8 text as PEP 3333 has them in a str: one character a byte.
fn native(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

fn path_info(front: Front) {
    let site = front.serve("echo.py");
    for (target, path) in [
        ("/", "/"),
        ("/plain", "/plain"),
        ("/dir/", "/dir/"),
        ("/a%20b", "/a b"),
        ("/a+b", "/a+b"),
        ("/a%2Fb", "/a/b"),
        ("/a//b", if front.can(Ability::EmptySegments) { "/a//b" } else { "/a/b" }),
        ("/100%25", "/100%"),
        ("/semi;colon=1", "/semi;colon=1"),
        ("/gr%C3%BC%C3%9Fe/%E2%82%AC", "/grüße/€"),
        ("/gr%c3%bc%c3%9fe", "/grüße"),
        ("/%F0%9F%90%8D", "/🐍"),
    ] {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["PATH_INFO"], native(path), "{target}");
        assert_eq!(told["environ"]["SCRIPT_NAME"], "", "{target}");
    }
    let answer = site.get("/%3Fnot-a-query");
    if front.can(Ability::QuestionMarks) {
        assert_eq!(answer.json()["environ"]["PATH_INFO"], "/?not-a-query");
    } else {
        assert_eq!(answer.status, 403);
    }
    // Bytes that are no UTF-8 at all.
    let answer = site.get("/%FF%FE");
    if front.can(Ability::AnyBytes) {
        assert_eq!(answer.json()["environ"]["PATH_INFO"], "/\u{ff}\u{fe}");
    } else {
        assert_eq!(answer.status, 400);
    }
}

fn script_name_given(front: Front) {
    let serve = Serve::app(&app("echo.py")).args(["--script-name", "/shop"]);
    let site = front.serve_with(serve);
    for (target, path) in
        [("/shop/cart", "/cart"), ("/shop/", "/"), ("/shop", ""), ("/shop/a%20b", "/a b")]
    {
        let told = site.get(target).json();
        assert_eq!(told["environ"]["SCRIPT_NAME"], "/shop", "{target}");
        assert_eq!(told["environ"]["PATH_INFO"], path, "{target}");
    }
}
