//! From what a web server sent to what RFC 3875 and PEP 3333 promise an application.
//!
//! Web servers disagree on SCRIPT_NAME and PATH_INFO, repeat names, and leave
//! required ones out. [`normalise`] turns any of them into one form. It is pure,
//! and runs once for each request.

mod given;
mod mount;
mod uri;

use std::borrow::Cow;

use memchr::memchr2;

use given::Given;
use uri::RequestUri;

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
/// What is always there comes first, each at a fixed place; the rest follows in
/// an order that depends on the names alone.
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
/// let environ = environ::normalise(&sent, Some(b"/app"))?;
/// assert_eq!(environ.get(b"SCRIPT_NAME"), Some(&b"/app"[..]));
/// assert_eq!(environ.get(b"PATH_INFO"), Some(&b"/caf\xc3\xa9"[..]));
/// assert_eq!(environ.get(b"QUERY_STRING"), Some(&b"x=1"[..]));
/// assert_eq!(environ.get(b"HTTP_PROXY"), None);
/// # Ok::<(), environ::EnvironError>(())
/// ```
///
/// # Errors
/// [`EnvironError`] when there is no method, or a name is none.
pub fn normalise(params: &Params, script_name: Option<&[u8]>) -> Result<Params, EnvironError> {
    check_names(params)?;
    let given = Given::new(params);
    if given.request_method.is_empty() {
        return Err(EnvironError::MethodMissing);
    }
    let uri = RequestUri::of(&given);
    let mount = mount::mount(&given, &uri, script_name);
    let host = Host::of(given.http_host);

    // What is added or grows: a mount point, a path, the defaults.
    let edits = mount.script_name.len() + mount.path_info.len() + host.name.len() + 128;
    let mut out = Params::with_capacity(params.bytes().len() + edits, params.len() + 8);
    out.push(b"REQUEST_METHOD", given.request_method);
    out.push(b"SCRIPT_NAME", &mount.script_name);
    out.push(b"PATH_INFO", &mount.path_info);
    out.push(b"QUERY_STRING", given.query_string.unwrap_or(uri.query));
    // HAProxy sends the whole Host header as SERVER_NAME.
    out.push(b"SERVER_NAME", Host::of(or(given.server_name, host.name)).name);
    out.push(b"SERVER_PORT", or(given.server_port, or(host.port, default_port(&given))));
    out.push(b"SERVER_PROTOCOL", or(given.server_protocol, b"HTTP/1.0"));
    for group in given.groups() {
        if let Some((name, value)) = kept(group) {
            out.push(name, &value);
        }
    }
    Ok(out)
}

/// The value, or another one where it is empty.
const fn or<'p>(value: &'p [u8], other: &'p [u8]) -> &'p [u8] {
    if value.is_empty() { other } else { value }
}

fn check_names(params: &Params) -> Result<(), EnvironError> {
    for (name, _) in params {
        if name.is_empty() {
            return Err(EnvironError::EmptyName);
        }
        if memchr2(b'=', 0, name).is_some() {
            let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
            return Err(EnvironError::BadName { name });
        }
    }
    Ok(())
}

/// What stays of all the pairs with one name, unless it was written already or
/// is dropped.
fn kept<'p>(group: &[(&'p [u8], &'p [u8])]) -> Option<(&'p [u8], Cow<'p, [u8]>)> {
    let &(name, last) = group.last()?;
    match name {
        b"REQUEST_METHOD" | b"SCRIPT_NAME" | b"PATH_INFO" | b"QUERY_STRING" | b"SERVER_NAME"
        | b"SERVER_PORT" | b"SERVER_PROTOCOL" => None,
        b"HTTP_PROXY" | b"HTTP_CONTENT_LENGTH" | b"HTTP_CONTENT_TYPE" => None,
        b"CONTENT_LENGTH" if matches!(last, b"" | b"-1") => None,
        b"CONTENT_TYPE" if last.is_empty() => None,
        _ if group.len() > 1 && name.starts_with(b"HTTP_") => {
            let separator: &[u8] = if name == b"HTTP_COOKIE" { b"; " } else { b", " };
            let values: Vec<_> = group.iter().map(|&(_, value)| value).collect();
            Some((name, Cow::Owned(values.join(separator))))
        }
        _ => Some((name, Cow::Borrowed(last))),
    }
}

/// The two halves of a Host header; without a port that one is empty.
struct Host<'p> {
    name: &'p [u8],
    port: &'p [u8],
}

impl<'p> Host<'p> {
    /// `name`, `name:port`, `[v6]` or `[v6]:port`; the brackets stay.
    fn of(host: &'p [u8]) -> Self {
        let is_port = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
        // The last colon of an address without brackets is a part of it.
        let is_name = |name: &[u8]| name.ends_with(b"]") || !name.contains(&b':');
        let colon = host.iter().rposition(|&byte| byte == b':');
        let (name, port) = match colon.and_then(|at| host.split_at_checked(at)) {
            Some((name, [_, port @ ..])) if is_port(port) && is_name(name) => (name, port),
            _ => (host, &b""[..]),
        };
        Self { name: or(name, b"localhost"), port }
    }
}

fn default_port(given: &Given<'_>) -> &'static [u8] {
    let https =
        matches!(given.https, b"on" | b"ON" | b"1" | b"https") || given.request_scheme == b"https";
    if https { b"443" } else { b"80" }
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
            let environ = normalise(&params(&all), None).unwrap();
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
        let error = |pairs: &[_]| normalise(&params(pairs), None).unwrap_err();
        assert_eq!(error(&[("REQUEST_URI", "/")]), EnvironError::MethodMissing);
        assert_eq!(error(&[("REQUEST_METHOD", "")]), EnvironError::MethodMissing);
        assert_eq!(error(&[("REQUEST_METHOD", "GET"), ("", "x")]), EnvironError::EmptyName);
        for name in ["A=B", "A\0"] {
            let expected = EnvironError::BadName { name: name.into() };
            assert_eq!(error(&[("REQUEST_METHOD", "GET"), (name, "x")]), expected);
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
        let once = normalise(&sent, None).unwrap();
        assert_eq!(normalise(&once, None).unwrap(), once);
    }
}
