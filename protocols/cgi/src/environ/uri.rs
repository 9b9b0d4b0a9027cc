//! REQUEST_URI: the one thing that every web server passes on as the client sent it.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::given::Given;
use super::known::Known;

/// The path and query the client asked for.
pub(super) struct RequestUri<'p> {
    /// Percent-decoded, never empty. Without REQUEST_URI it is DOCUMENT_URI, or
    /// what SCRIPT_NAME and PATH_INFO make.
    pub(super) path: Cow<'p, [u8]>,
    /// As sent, without `?`.
    pub(super) query: &'p [u8],
}

impl<'p> RequestUri<'p> {
    pub(super) fn of(given: &Given<'p>) -> Self {
        if !given.value(Known::RequestUri).is_empty() {
            let (path, query) = split(given.value(Known::RequestUri));
            return Self { path: rooted(percent_decode(path)), query };
        }
        let path = if !given.value(Known::DocumentUri).is_empty() {
            Cow::Borrowed(given.value(Known::DocumentUri))
        } else if given.value(Known::ScriptName) == given.value(Known::PathInfo) {
            // IIS sends the whole path in both.
            Cow::Borrowed(given.value(Known::PathInfo))
        } else {
            join(given.value(Known::ScriptName), given.value(Known::PathInfo))
        };
        Self { path: rooted(path), query: b"" }
    }

    /// Whether a server that tidies paths would call this one `path`: dot
    /// segments removed, slashes merged or not (nginx's `merge_slashes`), `%2F`
    /// left as it is.
    pub(super) fn is(&self, path: &[u8]) -> bool {
        path == &*self.path
            || self.is_undecoded(path)
            || path == tidy(&self.path, true)
            || path == tidy(&self.path, false)
    }

    /// Whether `path` is this one but for a rest of percent signs: Apache's
    /// `AllowEncodedSlashes NoDecode`.
    pub(super) fn is_undecoded(&self, path: &[u8]) -> bool {
        path != &*self.path
            && matches!(percent_decode(path), Cow::Owned(decoded) if decoded == *self.path)
    }
}

fn rooted(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if path.is_empty() { Cow::Borrowed(b"/") } else { path }
}

/// Path and query of a request target (RFC 9112, section 3.2).
fn split(uri: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr2(b'?', b'#', uri).unwrap_or(uri.len());
    let (before, after) = uri.split_at_checked(end).unwrap_or((uri, b""));
    let query = after.strip_prefix(b"?").unwrap_or_default();
    let query = memchr(b'#', query).and_then(|end| query.get(..end)).unwrap_or(query);
    (origin_form(before), query)
}

/// The absolute form without its scheme and host.
fn origin_form(uri: &[u8]) -> &[u8] {
    if uri.first() == Some(&b'/') {
        return uri;
    }
    let Some(authority) = memmem::find(uri, b"://").and_then(|at| uri.get(at + 3..)) else {
        return uri;
    };
    memchr(b'/', authority).and_then(|at| authority.get(at..)).unwrap_or(b"/")
}

/// `%XX` becomes its byte; a `%` without two hex digits stays.
#[must_use]
pub fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some((mut rest, mut out)) = memchr(b'%', text).and_then(|at| {
        let (before, rest) = text.split_at_checked(at)?;
        let mut out = Vec::with_capacity(text.len());
        out.extend_from_slice(before);
        Some((rest, out))
    }) else {
        return Cow::Borrowed(text);
    };
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The path without dot segments and empty ones, copied only if it has some.
pub(super) fn tidied(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let is_tidy = memmem::find(&path, b"/.").is_none() && memmem::find(&path, b"//").is_none();
    if is_tidy { path } else { Cow::Owned(tidy(&path, true)) }
}

/// Removes dot segments (RFC 3986, section 5.2.4) and, with `merge`, empty ones.
fn tidy(path: &[u8], merge: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let Some(path) = path.strip_prefix(b"/") else { return path.to_vec() };
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                }
                if last {
                    out.push(b'/');
                }
            }
            b"" if merge && !last => {}
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    out
}

/// The two one after the other, copied only if neither is empty.
pub(super) fn join<'p>(a: &'p [u8], b: &'p [u8]) -> Cow<'p, [u8]> {
    match (a, b) {
        (a, b"") => Cow::Borrowed(a),
        (b"", b) => Cow::Borrowed(b),
        (a, b) => Cow::Owned([a, b].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_each_form_of_a_request_target() {
        let cases: [(&str, &str, &str); 11] = [
            ("/", "/", ""),
            ("/a/b?c=d?e", "/a/b", "c=d?e"),
            ("/a?", "/a", ""),
            ("/a#b?c", "/a", ""),
            ("/a?b#c", "/a", "b"),
            ("//a//b", "//a//b", ""),
            ("http://x.org/a?b", "/a", "b"),
            ("https://x.org?b", "/", "b"),
            ("/http://x.org/", "/http://x.org/", ""),
            ("*", "*", ""),
            ("x.org:443", "x.org:443", ""),
        ];
        for (uri, path, query) in cases {
            assert_eq!(split(uri.as_bytes()), (path.as_bytes(), query.as_bytes()), "{uri}");
        }
    }

    #[test]
    fn decodes_percent_and_keeps_what_is_none() {
        let cases: [(&str, &[u8]); 7] = [
            ("/plain", b"/plain"),
            ("/%c3%A9", b"/\xc3\xa9"),
            ("/a%2Fb%25", b"/a/b%"),
            ("/%", b"/%"),
            ("/%4", b"/%4"),
            ("/%zz%41", b"/%zzA"),
            ("/%%41", b"/%A"),
        ];
        for (text, decoded) in cases {
            assert_eq!(percent_decode(text.as_bytes()), decoded, "{text}");
        }
    }

    #[test]
    fn tidies_as_web_servers_do() {
        let cases: [(&str, &str, &str); 12] = [
            ("/", "/", "/"),
            ("/a", "/a", "/a"),
            ("/a/", "/a/", "/a/"),
            ("//", "/", "//"),
            ("//a///b//", "/a/b/", "//a///b//"),
            ("/a/./b", "/a/b", "/a/b"),
            ("/a/../b", "/b", "/b"),
            ("/a/..", "/", "/"),
            ("/a/.", "/a/", "/a/"),
            ("/../../a", "/a", "/a"),
            ("/a/b/../../c/.d", "/c/.d", "/c/.d"),
            ("*", "*", "*"),
        ];
        for (path, merged, unmerged) in cases {
            assert_eq!(tidy(path.as_bytes(), true), merged.as_bytes(), "{path}");
            assert_eq!(tidy(path.as_bytes(), false), unmerged.as_bytes(), "{path}");
        }
    }
}
