//! What real web servers sent, made an environ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use cgi::{Params, environ};
use script::Script;

#[path = "../../corpus/script.rs"]
mod script;

/// `POST /caf%C3%A9/a%20b?x=1&y=%2F` of 11 bytes to example.org:8080, through each.
#[test]
fn every_web_server_means_the_same() {
    let mut count = 0;
    for protocol in ["fastcgi", "scgi"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(protocol);
        for entry in fs::read_dir(folder.join("valid")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let Some(server) = name.strip_prefix("recorded-") else { continue };
            let script = Script::read(&fs::read_to_string(&path).unwrap());
            let sent: Params = script.pairs().collect();
            let environ = environ::normalise(sent, None).unwrap();
            for (name, value) in [
                ("REQUEST_METHOD", "POST"),
                ("SCRIPT_NAME", ""),
                ("PATH_INFO", "/café/a b"),
                ("QUERY_STRING", "x=1&y=%2F"),
                ("SERVER_PROTOCOL", "HTTP/1.1"),
                ("SERVER_PORT", "8080"),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("CONTENT_TYPE", "text/plain"),
                ("HTTP_COOKIE", "a=1; b=\"2\""),
            ] {
                let found = environ.get(name.as_bytes()).map(String::from_utf8_lossy);
                assert_eq!(found.as_deref(), Some(value), "{server}: {name}");
            }
            // Its configured name, or the client's word for it.
            let name = environ.get(b"SERVER_NAME").map(String::from_utf8_lossy);
            let is_known = matches!(name.as_deref(), Some("example.org" | "127.0.0.1"));
            assert!(is_known, "{server}: {name:?}");
            let length = environ.get(b"CONTENT_LENGTH");
            let is_chunked = server.ends_with("-chunked");
            assert!(
                length == Some(b"11") || is_chunked && length.is_none(),
                "{server}: {length:?}"
            );
            for absent in ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"] {
                assert_eq!(environ.get(absent.as_bytes()), None, "{server}: {absent}");
            }
            count += 1;
        }
    }
    assert!(count >= 24, "{count} recordings");
}
