//! What must hold for any params and any response. Tests and the fuzz target
//! include it by path.

use cgi::environ::normalise;
use cgi::{Params, ResponseHead};

/// Whether the params became an environ; if so, it is one.
pub(crate) fn environ(params: &Params, script_name: Option<&[u8]>) -> bool {
    let Ok(environ) = normalise(params.clone(), script_name) else { return false };
    let mut names: Vec<_> = environ.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name stands twice: {environ:?}");
    assert!(!names.contains(&&b"HTTP_PROXY"[..]));
    for name in ["REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"] {
        assert!(environ.get(name.as_bytes()).is_some_and(|v| !v.is_empty()), "{name}: {environ:?}");
    }
    let script_name = environ.get(b"SCRIPT_NAME").expect("always there");
    let path_info = environ.get(b"PATH_INFO").expect("always there");
    assert_ne!(script_name.last(), Some(&b'/'), "{environ:?}");
    assert!(!script_name.is_empty() || !path_info.is_empty(), "{environ:?}");
    true
}

/// However much has arrived, the answer is "more" until it is final.
pub(crate) fn head(bytes: &[u8]) {
    let whole = ResponseHead::parse(bytes);
    for end in 0..bytes.len() {
        match ResponseHead::parse(&bytes[..end]) {
            Ok(None) => {}
            earlier => assert_eq!(earlier, whole, "after {end} bytes"),
        }
    }
}
