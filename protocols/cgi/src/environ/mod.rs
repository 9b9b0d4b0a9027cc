//! From what a web server sent to what RFC 3875 and PEP 3333 promise an application.
//!
//! Web servers disagree on SCRIPT_NAME and PATH_INFO, repeat names, and leave
//! required ones out. [`normalise`] turns any of them into one form. It is pure,
//! and runs once for each request.

mod edits;
mod given;
mod known;
mod mount;
#[cfg(test)]
mod oracle;
mod repeats;
mod uri;

use std::borrow::Cow;

use edits::Edits;
use given::Given;
use mount::MountPoint;
use uri::RequestUri;
pub use uri::percent_decode;

use crate::Params;

/// Why params cannot become an environ. The answer is 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironError {
    /// REQUEST_METHOD is absent or empty.
    #[error("REQUEST_METHOD is missing (RFC 3875, section 4.1.12)")]
    MethodMissing,
    /// A pair with an empty name.
    #[error("a param has an empty name")]
    EmptyName,
    /// A name that no environment can hold: it contains `=` or NUL.
    #[error("param name {name:?} contains '=' or NUL")]
    BadName {
        /// The name, cut after 64 bytes.
        name: String,
    },
}

/// The params an application sees.
///
/// - Each name stands once. Repeated `HTTP_*` are joined with `", "`
///   (`HTTP_COOKIE` with `"; "`); of other repeated names the last one counts, for
///   a later line of a web server's configuration is meant to override.
/// - HTTP_PROXY (CVE-2016-5385), HTTP_CONTENT_LENGTH and HTTP_CONTENT_TYPE are
///   dropped, and so are an empty CONTENT_TYPE and a CONTENT_LENGTH that is empty
///   or -1: the body then ends where the protocol says.
/// - SCRIPT_NAME and PATH_INFO are always there, percent-decoded, and say where
///   the application is mounted. `script_name` is the mount point if the
///   administrator named one.
/// - REQUEST_METHOD, QUERY_STRING, SERVER_NAME, SERVER_PORT and SERVER_PROTOCOL
///   are always there.
///
/// The buffer stays the one it was: pairs are dropped or get another span of it,
/// and only what the web server did not send is appended. The order follows the
/// web server's, so that requests of one kind have their names in the same places.
///
/// ```
/// use cgi::{Params, environ};
///
/// // nginx with its stock fastcgi_params.
/// let mut sent = Params::new();
/// sent.push(b"REQUEST_METHOD", b"GET");
/// sent.push(b"REQUEST_URI", b"/app/caf%C3%A9?x=1");
/// sent.push(b"SCRIPT_NAME", b"/app/caf\xc3\xa9");
/// sent.push(b"HTTP_PROXY", b"http://attacker/");
///
/// let environ = environ::normalise(sent, Some(b"/app"))?;
/// assert_eq!(environ.get(b"SCRIPT_NAME"), Some(&b"/app"[..]));
/// assert_eq!(environ.get(b"PATH_INFO"), Some(&b"/caf\xc3\xa9"[..]));
/// assert_eq!(environ.get(b"QUERY_STRING"), Some(&b"x=1"[..]));
/// assert_eq!(environ.get(b"HTTP_PROXY"), None);
/// # Ok::<(), environ::EnvironError>(())
/// ```
///
/// # Errors
/// [`EnvironError`] when there is no method, or a name is none.
pub fn normalise(params: Params, script_name: Option<&[u8]>) -> Result<Params, EnvironError> {
    normalised(params, script_name.map_or(MountPoint::Told, MountPoint::At))
}

/// As [`normalise`], for an application that was chosen by the path: it is
/// mounted at `prefix`, and has of [`path`] what is below.
///
/// # Errors
/// As [`normalise`].
pub fn normalise_below(params: Params, prefix: &[u8]) -> Result<Params, EnvironError> {
    normalised(params, MountPoint::Below(prefix))
}

fn normalised(mut params: Params, mount: MountPoint<'_>) -> Result<Params, EnvironError> {
    let given = Given::new(&params)?;
    let edits = if given.may_repeat {
        let joined = repeats::joined(&params);
        let edits = Edits::of(&Given::new(&joined)?, mount)?;
        params = joined;
        edits
    } else {
        Edits::of(&given, mount)?
    };
    edits.apply(&mut params);
    Ok(params)
}

/// The path that was asked for, by which one of several applications is chosen:
/// percent-decoded, with dot segments and empty ones removed, so that it is the
/// one that the web server has made its own decisions by.
///
/// # Errors
/// [`EnvironError`] when a name is none.
pub fn path(params: &Params) -> Result<Cow<'_, [u8]>, EnvironError> {
    let given = Given::new(params)?;
    let uri = RequestUri::of(&given);
    Ok(mount::whole_path(&given, &uri, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    /// Each case: what is sent besides a GET of `/`, a name, what becomes of it.
    #[test]
    fn each_param_has_its_rule() {
        type Case = (&'static [(&'static str, &'static str)], &'static str, Option<&'static str>);
        #[rustfmt::skip]
        let cases: &[Case] = &[
            (&[("HTTP_PROXY", "http://evil/")], "HTTP_PROXY", None),
            (&[("HTTP_CONTENT_LENGTH", "5")], "HTTP_CONTENT_LENGTH", None),
            (&[("HTTP_CONTENT_TYPE", "a/b")], "HTTP_CONTENT_TYPE", None),
            (&[("HTTP_PROXY_CONNECTION", "close")], "HTTP_PROXY_CONNECTION", Some("close")),
            // nginx before 1.23 repeats; joined by RFC 9110, section 5.3.
            (&[("HTTP_X", "a"), ("HTTP_Y", "-"), ("HTTP_X", "b")], "HTTP_X", Some("a, b")),
            (&[("HTTP_COOKIE", "a=1"), ("HTTP_COOKIE", "b=2")], "HTTP_COOKIE", Some("a=1; b=2")),
            (&[("REMOTE_USER", "a"), ("REMOTE_USER", "b")], "REMOTE_USER", Some("b")),
            (&[("REQUEST_METHOD", "PUT")], "REQUEST_METHOD", Some("PUT")),
            // nginx, chunked and unbuffered; Caddy, chunked.
            (&[("CONTENT_LENGTH", "")], "CONTENT_LENGTH", None),
            (&[("CONTENT_LENGTH", "-1")], "CONTENT_LENGTH", None),
            (&[("CONTENT_LENGTH", "0")], "CONTENT_LENGTH", Some("0")),
            (&[("CONTENT_TYPE", "")], "CONTENT_TYPE", None),
            (&[("CONTENT_TYPE", "a/b")], "CONTENT_TYPE", Some("a/b")),
            (&[("QUERY_STRING", "")], "QUERY_STRING", Some("")),
            (&[("REQUEST_URI", "/?a=%20?b")], "QUERY_STRING", Some("a=%20?b")),
            (&[("REQUEST_URI", "/?a"), ("QUERY_STRING", "b")], "QUERY_STRING", Some("b")),
            (&[], "QUERY_STRING", Some("")),
            (&[], "SERVER_PROTOCOL", Some("HTTP/1.0")),
            (&[("SERVER_PROTOCOL", "HTTP/2.0")], "SERVER_PROTOCOL", Some("HTTP/2.0")),
            (&[], "SERVER_NAME", Some("localhost")),
            (&[("SERVER_NAME", ""), ("HTTP_HOST", "x.org:81")], "SERVER_NAME", Some("x.org")),
            (&[("SERVER_NAME", "x.org:81")], "SERVER_NAME", Some("x.org")),
            (&[("SERVER_NAME", "fe80::1")], "SERVER_NAME", Some("fe80::1")),
            (&[("SERVER_NAME", "y"), ("HTTP_HOST", "x.org:81")], "SERVER_NAME", Some("y")),
            (&[("HTTP_HOST", "[::1]:8080")], "SERVER_NAME", Some("[::1]")),
            (&[("HTTP_HOST", "[::1]")], "SERVER_NAME", Some("[::1]")),
            (&[("HTTP_HOST", "[::1]")], "SERVER_PORT", Some("80")),
            (&[("HTTP_HOST", "[::1]:8080")], "SERVER_PORT", Some("8080")),
            (&[("SERVER_PORT", ""), ("HTTP_HOST", "x.org:81")], "SERVER_PORT", Some("81")),
            (&[("HTTP_HOST", "x.org:"), ("HTTPS", "on")], "SERVER_PORT", Some("443")),
            (&[("REQUEST_SCHEME", "https")], "SERVER_PORT", Some("443")),
            (&[("HTTPS", "off")], "SERVER_PORT", Some("80")),
        ];
        for &(sent, name, expected) in cases {
            let mut all = vec![("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/")];
            all.extend(sent);
            let environ = normalise(params(&all), None).unwrap();
            let value = environ.get(name.as_bytes()).map(|v| std::str::from_utf8(v).unwrap());
            assert_eq!(value, expected, "{name} of {sent:?}");
            let mut names: Vec<_> = environ.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), environ.len(), "a name stands twice: {environ:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_environ() {
        let error = |pairs: &[_]| normalise(params(pairs), None).unwrap_err();
        assert_eq!(error(&[("REQUEST_URI", "/")]), EnvironError::MethodMissing);
        assert_eq!(error(&[("REQUEST_METHOD", "")]), EnvironError::MethodMissing);
        assert_eq!(error(&[("REQUEST_METHOD", "GET"), ("", "x")]), EnvironError::EmptyName);
        for name in ["A=B", "A\0"] {
            let expected = EnvironError::BadName { name: name.into() };
            assert_eq!(error(&[("REQUEST_METHOD", "GET"), (name, "x")]), expected);
        }
    }

    #[test]
    fn a_path_by_which_to_choose_is_tidy() {
        let table: [(&[(&str, &str)], &str); 7] = [
            (&[("REQUEST_URI", "/shop/x?y")], "/shop/x"),
            (&[("REQUEST_URI", "/admin/../shop//./x")], "/shop/x"),
            (&[("REQUEST_URI", "/admin/%2e%2e/shop")], "/shop"),
            // A split or a rewrite of the web server's.
            (
                &[("REQUEST_URI", "/shop/x"), ("SCRIPT_NAME", "/shop"), ("PATH_INFO", "/x")],
                "/shop/x",
            ),
            (&[("REQUEST_URI", "/old"), ("SCRIPT_NAME", "/new"), ("DOCUMENT_URI", "/new")], "/new"),
            (&[("REQUEST_URI", "*")], "*"),
            (&[], "/"),
        ];
        for (sent, expected) in table {
            assert_eq!(&*path(&params(sent)).unwrap(), expected.as_bytes(), "{sent:?}");
        }
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        let sent = params(&[
            ("HTTP_COOKIE", "a"),
            ("SCRIPT_NAME", "/a b"),
            ("REQUEST_METHOD", "GET"),
            ("HTTP_COOKIE", "b"),
            ("REQUEST_URI", "/a%20b?c"),
        ]);
        let once = normalise(sent, None).unwrap();
        assert_eq!(normalise(once.clone(), None).unwrap(), once);
    }
}
