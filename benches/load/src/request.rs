//! A request as nginx would send it.

use bytes::BytesMut;
use cgi::Params;
use fastcgi_server::{Role, client as fastcgi};
use scgi_server::client as scgi;

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    Fastcgi,
    Scgi,
    Http,
}

/// The whole request for `page`, with a body of so many bytes.
pub fn encode(protocol: Protocol, page: &str, keep: bool, body: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    let content = vec![b'x'; body];
    match protocol {
        Protocol::Fastcgi => {
            fastcgi::begin(&mut out, 1, Role::Responder, keep);
            fastcgi::params(&mut out, 1, &params(page, body));
            fastcgi::stdin(&mut out, 1, &content);
            fastcgi::stdin_end(&mut out, 1);
        }
        Protocol::Scgi => {
            scgi::request(&mut out, &params(page, body), body as u64);
            out.extend_from_slice(&content);
        }
        Protocol::Http => {
            let method = method(body);
            let connection = if keep { "keep-alive" } else { "close" };
            let head = format!(
                "{method} {page} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
                 Content-Length: {body}\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(&content);
        }
    }
    out.to_vec()
}

/// What nginx sends for a browser's request with its stock params, but that
/// PATH_INFO is the whole path, which not every server finds by itself.
fn params(page: &str, body: usize) -> Params {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let length = if body == 0 { String::new() } else { body.to_string() };
    [
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", method(body)),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", &length),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("REQUEST_URI", page),
        ("DOCUMENT_URI", path),
        ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "41234"),
        ("REMOTE_USER", ""),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "80"),
        ("SERVER_NAME", "localhost"),
        ("REDIRECT_STATUS", "200"),
        ("HTTP_HOST", "localhost"),
        (
            "HTTP_USER_AGENT",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
        ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br"),
        ("HTTP_CONNECTION", "keep-alive"),
        ("HTTP_COOKIE", "session=0123456789abcdef0123456789abcdef"),
    ]
    .into_iter()
    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    .collect()
}

const fn method(body: usize) -> &'static str {
    if body == 0 { "GET" } else { "POST" }
}
