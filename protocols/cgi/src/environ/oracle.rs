//! [`normalise`] beside the plainest way to do the same.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::given::Given;
use super::uri::RequestUri;
use super::*;

type Environ = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rules in the order of their description, one map after the other.
fn plain(params: &Params, script_name: Option<&[u8]>) -> Result<Environ, EnvironError> {
    let mut values = BTreeMap::<&[u8], Vec<&[u8]>>::new();
    for (name, value) in params {
        if name.is_empty() {
            return Err(EnvironError::EmptyName);
        }
        if name.iter().any(|byte| matches!(byte, b'=' | 0)) {
            let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
            return Err(EnvironError::BadName { name });
        }
        values.entry(name).or_default().push(value);
    }
    let one = |(name, values): (&[u8], Vec<&[u8]>)| {
        let value = match name {
            b"HTTP_COOKIE" => values.join(&b"; "[..]),
            _ if name.starts_with(b"HTTP_") => values.join(&b", "[..]),
            _ => values[values.len() - 1].to_vec(),
        };
        (name.to_vec(), value)
    };
    let mut environ: Environ = values.into_iter().map(one).collect();
    if environ.get(&b"REQUEST_METHOD"[..]).is_none_or(Vec::is_empty) {
        return Err(EnvironError::MethodMissing);
    }

    let once: Params = environ.iter().map(|(name, value)| (&**name, &**value)).collect();
    let given = Given::new(&once)?;
    let uri = RequestUri::of(&given);
    let at = script_name.map_or(MountPoint::Told, MountPoint::At);
    let mount = mount::mount(&given, &uri, at);
    environ.insert(b"SCRIPT_NAME".to_vec(), mount.script_name.to_vec());
    environ.insert(b"PATH_INFO".to_vec(), mount.path_info.to_vec());
    environ.entry(b"QUERY_STRING".to_vec()).or_insert(uri.query.to_vec());

    for name in ["HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"] {
        environ.remove(name.as_bytes());
    }
    for (name, nothing) in [("CONTENT_LENGTH", ""), ("CONTENT_LENGTH", "-1"), ("CONTENT_TYPE", "")]
    {
        if environ.get(name.as_bytes()).is_some_and(|value| value == nothing.as_bytes()) {
            environ.remove(name.as_bytes());
        }
    }
    let get =
        |name: &str| environ.get(name.as_bytes()).map_or("", |v| std::str::from_utf8(v).unwrap());
    let (host, host_port) = split_host(get("HTTP_HOST"));
    let is_https =
        ["on", "ON", "1", "https"].contains(&get("HTTPS")) || get("REQUEST_SCHEME") == "https";
    let or = |value: &str, other: &str| if value.is_empty() { other } else { value }.to_owned();
    let name = split_host(&or(get("SERVER_NAME"), &host)).0;
    let port = or(get("SERVER_PORT"), &or(&host_port, if is_https { "443" } else { "80" }));
    let protocol = or(get("SERVER_PROTOCOL"), "HTTP/1.0");
    for (key, value) in
        [("SERVER_NAME", name), ("SERVER_PORT", port), ("SERVER_PROTOCOL", protocol)]
    {
        environ.insert(key.into(), value.into());
    }
    Ok(environ)
}

fn split_host(host: &str) -> (String, String) {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (name.ends_with(']') || !name.contains(':')) => {
            (name, port)
        }
        _ => (host, ""),
    };
    (if name.is_empty() { "localhost" } else { name }.into(), port.into())
}

fn check(params: &Params, script_name: Option<&[u8]>) -> Result<(), TestCaseError> {
    let environ = normalise(params.clone(), script_name);
    let unique = environ.as_ref().map_or(0, Params::len);
    let map = environ.map(|environ| -> Environ {
        environ.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    });
    prop_assert_eq!(&map, &plain(params, script_name), "{:?}", params);
    prop_assert_eq!(map.map_or(0, |map| map.len()), unique, "a name stands twice");
    Ok(())
}

/// Names with rules, names like them, and a few that are none.
fn name() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_URI",
        "DOCUMENT_URI",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "HTTP_HOST",
        "HTTPS",
        "REQUEST_SCHEME",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_PROXY",
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_COOKIE",
        "HTTP_X",
        "REMOTE_USER",
    ];
    let known = select(NAMES).prop_map(|name| name.as_bytes().to_vec());
    let header = (0..300_u16).prop_map(|n| format!("HTTP_{n}").into_bytes());
    prop_oneof![500 => known, 500 => header, 1 => vec(any::<u8>(), 0..3)]
}

fn value() -> impl Strategy<Value = &'static str> {
    select(&["", "-1", "7", "/", "/a", "/a/b?c", "/%41", "x.org:81", "[::1]:8", "on", "https"][..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_plain_way_gives_the_same(
        mut pairs in vec((name(), value()), 0..60),
        script_name in option::of(select(&["/a", "/", "/x"][..])),
    ) {
        pairs.push((b"REQUEST_METHOD".to_vec(), "GET"));
        let params: Params = pairs.iter().map(|(n, v)| (&**n, v.as_bytes())).collect();
        check(&params, script_name.map(str::as_bytes))?;
    }

    /// So many names that suspicion is no longer looked into.
    #[test]
    fn many_names_are_no_trouble(pairs in vec((0..3000_u16, value()), 200..400)) {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (format!("HTTP_{n}"), v.as_bytes())).collect();
        let mut params: Params = pairs.iter().map(|(n, v)| (n.as_bytes(), *v)).collect();
        params.push(b"REQUEST_METHOD", b"GET");
        check(&params, None)?;
    }
}

/// The worker guesses a name by its place.
#[test]
fn requests_of_one_kind_have_their_names_in_the_same_places() {
    let sent = |method: &'static str, content_type, length| -> Params {
        let pairs = [
            ("QUERY_STRING", ""),
            ("REQUEST_METHOD", method),
            ("CONTENT_TYPE", content_type),
            ("CONTENT_LENGTH", length),
            ("SCRIPT_NAME", "/a"),
            ("REQUEST_URI", "/a"),
            ("DOCUMENT_URI", "/a"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_PORT", "80"),
            ("SERVER_NAME", "x.org"),
            ("HTTP_HOST", "x.org"),
            ("HTTP_ACCEPT", "*/*"),
        ];
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    };
    let get = normalise(sent("GET", "", ""), None).unwrap();
    let post = normalise(sent("POST", "a/b", "3"), None).unwrap();
    let names = |params: &Params| -> Vec<String> {
        params.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect()
    };
    let (get, post) = (names(&get), names(&post));
    let moved: Vec<_> = get.iter().zip(&post).enumerate().filter(|(_, (a, b))| a != b).collect();
    assert!(moved.iter().all(|(place, _)| matches!(place, 2 | 3)), "{get:?} {post:?}");
    assert_eq!((get.len(), post.len()), (11, 13));
}
