//! Arbitrary params and response heads. The fuzz target runs the same checks for
//! longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;

use cgi::Params;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Paths made of what paths trip over.
fn path() -> impl Strategy<Value = String> {
    const PARTS: &[&str] =
        &["/", "a", "..", ".", "%2f", "%2e", "%", "é", "?", "#", "*", "app", "://", "/x"];
    vec(select(PARTS), 0..6).prop_map(|parts| parts.concat())
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "SCRIPT_NAME",
        "PATH_INFO",
        "REQUEST_URI",
        "DOCUMENT_URI",
        "SCRIPT_FILENAME",
        "HTTP_HOST",
        "HTTP_COOKIE",
        "HTTP_PROXY",
        "CONTENT_LENGTH",
        "SERVER_PORT",
        "X",
        "",
        "=",
    ];
    select(NAMES).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    let proxy = path().prop_map(|path| format!("proxy:fcgi://h:1{path}"));
    let plain =
        select(&["x.org:80", "[::1]", "[::1]:8", ":", "", "-1"][..]).prop_map(str::to_owned);
    prop_oneof![4 => path(), 1 => proxy, 1 => plain]
}

fn software() -> impl Strategy<Value = String> {
    select(&["nginx/1.22.1", "lighttpd/1.4", "Apache/2.4", "HAProxy", ""][..])
        .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_params_break_the_environ(
        mut pairs in vec((name(), value()), 0..12),
        software in software(),
        script_name in option::of(path()),
    ) {
        pairs.retain(|(name, _)| !name.is_empty() && name != "=");
        pairs.push(("SERVER_SOFTWARE".into(), software));
        pairs.push(("REQUEST_METHOD".into(), "GET".into()));
        let params: Params = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        prop_assert!(checks::environ(&params, script_name.as_deref().map(str::as_bytes)));
    }

    #[test]
    fn no_names_break_the_environ(pairs in vec((vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..9)), 0..9)) {
        let params: Params = pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        checks::environ(&params, None);
    }

    #[test]
    fn no_bytes_break_the_head(
        parts in vec(select(&["Status", ":", " ", "200", "\n", "\r\n", "A", "Location", "\0", "é"][..]), 0..20),
    ) {
        checks::head(parts.concat().as_bytes());
    }
}
