//! The params of one request, as a web server would send them.

use cgi::Params;
use thiserror::Error;

use crate::cli::RequestArgs;
use crate::config::Role;
use crate::config::address::Address;

/// A part of the command line that can't go into a request.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParamsError {
    /// The path does not begin with a slash.
    #[error("PATH {0:?}: a path begins with a slash, such as /search?q=x")]
    Path(String),
    /// The method is no token.
    #[error("-X {0:?}: a method is letters, such as GET")]
    Method(String),
    /// A header without a colon, or with characters that none can have.
    #[error("-H {0:?}: write a header as 'Name: value'")]
    Header(String),
    /// A param without `=`.
    #[error("--param {0:?}: write a param as NAME=VALUE")]
    Param(String),
}

/// Everything that the request says of itself. `body` is its length in bytes.
pub(super) fn params(
    args: &RequestArgs,
    address: &Address,
    body: Option<usize>,
) -> Result<Params, ParamsError> {
    if !args.path.starts_with('/') || args.path.contains('\0') {
        return Err(ParamsError::Path(args.path.clone()));
    }
    let default_method = if body.is_some() { "POST" } else { "GET" };
    let method = args.method.as_deref().unwrap_or(default_method);
    if !is_token(method) {
        return Err(ParamsError::Method(method.to_owned()));
    }
    let uri = args.path.split('#').next().unwrap_or_default();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (host, port) = match address {
        Address::Tcp { host, port } => (host.as_str(), *port),
        _ => ("localhost", 80),
    };
    let software = concat!("flupd/", env!("CARGO_PKG_VERSION"));
    let mut table = Table::default();
    table.set("GATEWAY_INTERFACE", "CGI/1.1");
    table.set("SERVER_SOFTWARE", software);
    table.set("SERVER_PROTOCOL", "HTTP/1.1");
    table.set("SERVER_NAME", host);
    table.set("SERVER_PORT", port.to_string());
    table.set("REMOTE_ADDR", "127.0.0.1");
    table.set("REQUEST_METHOD", method);
    table.set("REQUEST_URI", uri);
    table.set("SCRIPT_NAME", "");
    table.set("PATH_INFO", percent_decode(path));
    table.set("QUERY_STRING", query);
    if let Some(length) = body {
        table.set("CONTENT_LENGTH", length.to_string());
        table.set("CONTENT_TYPE", "application/x-www-form-urlencoded");
    }
    table.set("HTTP_HOST", address_as_host(address));
    table.set("HTTP_USER_AGENT", software);
    table.set("HTTP_ACCEPT", "*/*");
    if args.role == Role::Authorizer {
        // Section 6.3.
        ["SCRIPT_NAME", "PATH_INFO", "CONTENT_LENGTH"].iter().for_each(|name| table.remove(name));
    }
    for header in headers(&args.header)? {
        match header {
            (name, None) => table.remove(&name),
            (name, Some(value)) => table.set(&name, value),
        }
    }
    for param in &args.param {
        match param.split_once('=') {
            Some((name, value)) if !name.is_empty() && !param.contains('\0') => {
                table.set(name, value);
            }
            _ => return Err(ParamsError::Param(param.clone())),
        }
    }
    let pairs = table.pairs.iter();
    Ok(pairs.map(|(name, value)| (name.as_bytes(), value.as_slice())).collect())
}

/// Params in order; a later value takes the place of an earlier one.
#[derive(Default)]
struct Table {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Table {
    fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        match self.pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.pairs.push((name.to_owned(), value.into())),
        }
    }

    fn remove(&mut self, name: &str) {
        self.pairs.retain(|(known, _)| known != name);
    }
}

/// Each header once, under its CGI name (RFC 3875, section 4.1.18); `None` for
/// `Name:`, which takes one of ours away, as with curl.
fn headers(given: &[String]) -> Result<Vec<(String, Option<String>)>, ParamsError> {
    let mut headers: Vec<(String, Option<String>)> = Vec::new();
    for text in given {
        let wrong = || ParamsError::Header(text.clone());
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        if !is_token(name) || value.contains(['\0', '\r', '\n']) {
            return Err(wrong());
        }
        let name = match name.to_ascii_uppercase().replace('-', "_").as_str() {
            plain @ ("CONTENT_TYPE" | "CONTENT_LENGTH") => plain.to_owned(),
            other => format!("HTTP_{other}"),
        };
        let value = (!value.is_empty()).then(|| value.to_owned());
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Some(first))) if value.is_some() => {
                let separator = if name == "HTTP_COOKIE" { "; " } else { ", " };
                first.push_str(separator);
                first.push_str(&value.unwrap_or_default());
            }
            Some((_, old)) => *old = value,
            None => headers.push((name, value)),
        }
    }
    Ok(headers)
}

fn address_as_host(address: &Address) -> String {
    match address {
        Address::Tcp { .. } => address.to_string(),
        _ => "localhost".to_owned(),
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// The path as a web server decodes it; a `%` that begins no pair of digits
/// stays what it is.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn build(options: &[&str], body: Option<usize>) -> Result<Params, ParamsError> {
        let words = ["flupd", "request", "[::1]:9000"].iter().chain(options);
        let Command::Request(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        params(&args, &args.addr.parse().unwrap(), body)
    }

    fn get<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
        params.get(name.as_bytes()).map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn the_path_is_split_and_decoded() {
        let params = build(&["/a%20b%c3%A9%2?x=%20#top"], None).unwrap();
        for (name, value) in [
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/a%20b%c3%A9%2?x=%20"),
            ("PATH_INFO", "/a bé%2"),
            ("QUERY_STRING", "x=%20"),
            ("SCRIPT_NAME", ""),
            ("SERVER_NAME", "::1"),
            ("SERVER_PORT", "9000"),
            ("HTTP_HOST", "[::1]:9000"),
        ] {
            assert_eq!(get(&params, name), Some(value), "{name}");
        }
        assert_eq!(get(&params, "CONTENT_LENGTH"), None);
    }

    #[test]
    fn headers_and_params_take_the_place_of_ours() {
        let params = build(
            &[
                "/",
                "-H",
                "Content-Type: text/plain",
                "-H",
                "X-A: 1",
                "-H",
                "x-a:2",
                "-H",
                "Cookie: a=1",
                "-H",
                "Cookie: b=2",
                "-H",
                "User-Agent:",
                "--param",
                "HTTPS=on",
                "--param",
                "REMOTE_ADDR=::1",
            ],
            Some(5),
        )
        .unwrap();
        for (name, value) in [
            ("REQUEST_METHOD", Some("POST")),
            ("CONTENT_LENGTH", Some("5")),
            ("CONTENT_TYPE", Some("text/plain")),
            ("HTTP_X_A", Some("1, 2")),
            ("HTTP_COOKIE", Some("a=1; b=2")),
            ("HTTP_USER_AGENT", None),
            ("HTTPS", Some("on")),
            ("REMOTE_ADDR", Some("::1")),
        ] {
            assert_eq!(get(&params, name), value, "{name}");
        }
    }

    #[test]
    fn what_no_request_can_hold_is_refused() {
        assert_eq!(build(&["x"], None), Err(ParamsError::Path("x".into())));
        assert_eq!(build(&["/", "-X", "G T"], None), Err(ParamsError::Method("G T".into())));
        for header in ["none", ": x", "a b: c", "X: a\nb"] {
            assert_eq!(build(&["/", "-H", header], None), Err(ParamsError::Header(header.into())));
        }
        assert_eq!(build(&["/", "--param", "=x"], None), Err(ParamsError::Param("=x".into())));
    }
}
