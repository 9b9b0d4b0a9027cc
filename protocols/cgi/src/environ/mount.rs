//! SCRIPT_NAME and PATH_INFO: where the application is mounted, and what was
//! asked of it below that point.
//!
//! RFC 3875 defines both by a script file. A WSGI application has none, and each
//! web server fills the gap in its own way; see the table in the tests.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::given::Given;
use super::known::Known;
use super::uri::{RequestUri, join, percent_decode, tidied};

/// SCRIPT_NAME is empty, or begins with `/` and does not end with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount<'p> {
    pub(super) script_name: Cow<'p, [u8]>,
    pub(super) path_info: Cow<'p, [u8]>,
}

/// Where an application is mounted, as far as that is known beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) enum MountPoint<'p> {
    /// The params tell.
    Told,
    /// The administrator named it.
    At(&'p [u8]),
    /// The path that was asked for is below it, and chose the application.
    Below(&'p [u8]),
}

/// What the application sees.
pub(super) fn mount<'p>(given: &Given<'p>, uri: &RequestUri<'p>, at: MountPoint<'p>) -> Mount<'p> {
    match at {
        MountPoint::Told => told(given, uri),
        MountPoint::At(script_name) => below(script_name, uri),
        MountPoint::Below(prefix) => {
            // As it was asked for, if that is below in the same way.
            let asked = whole_path(given, uri, false);
            let path_info = rest_below(prefix, asked)
                .or_else(|asked| rest_below(prefix, tidied(asked)))
                .unwrap_or_else(|elsewhere| elsewhere);
            Mount { script_name: without_trailing_slash(prefix).into(), path_info }
        }
    }
}

/// SCRIPT_NAME and PATH_INFO in one, as far as they can be told; with `tidy`
/// without dot segments and empty ones.
pub(super) fn whole_path<'p>(given: &Given<'p>, uri: &RequestUri<'p>, tidy: bool) -> Cow<'p, [u8]> {
    let Mount { script_name, path_info } = told(given, uri);
    let path = if script_name.is_empty() {
        path_info
    } else {
        Cow::Owned([script_name, path_info].concat())
    };
    if tidy { tidied(path) } else { path }
}

/// What of `path` is below `prefix`; else `path` itself.
fn rest_below<'p>(prefix: &[u8], path: Cow<'p, [u8]>) -> Result<Cow<'p, [u8]>, Cow<'p, [u8]>> {
    let rest = path.strip_prefix(without_trailing_slash(prefix));
    match rest {
        Some(rest) if rest.is_empty() || rest.first() == Some(&b'/') => {
            let at = path.len() - rest.len();
            Ok(match path {
                Cow::Borrowed(path) => Cow::Borrowed(path.get(at..).unwrap_or_default()),
                Cow::Owned(mut path) => Cow::Owned(path.split_off(at)),
            })
        }
        _ => Err(path),
    }
}

/// The mount point that can be told from the params.
fn told<'p>(given: &Given<'p>, uri: &RequestUri<'p>) -> Mount<'p> {
    let (script_name, path_info) = (given.value(Known::ScriptName), given.value(Known::PathInfo));
    if !path_info.is_empty() {
        return apache_path_info(given, uri)
            .unwrap_or_else(|| split_by_server(script_name, path_info, uri));
    }
    match Server::of(given) {
        Server::Cgi => split_at(script_name, b""),
        Server::Proxy { below } => {
            if uri.is_undecoded(script_name) {
                return mounted_before(&uri.path, &below).unwrap_or_else(|| unmounted(given, uri));
            }
            match script_name.strip_suffix(&*below) {
                Some(prefix) => {
                    let script_name = without_trailing_slash(prefix).into();
                    Mount { script_name, path_info: below }
                }
                None => unmounted(given, uri),
            }
        }
        Server::Other => unmounted(given, uri),
    }
}

fn below<'p>(script_name: &'p [u8], uri: &RequestUri<'p>) -> Mount<'p> {
    let script_name = without_trailing_slash(script_name);
    let rest = uri.path.strip_prefix(script_name);
    let rest = rest.filter(|rest| rest.is_empty() || rest.first() == Some(&b'/'));
    let path_info = match rest {
        Some(rest) if !script_name.is_empty() => Cow::Owned(rest.to_vec()),
        _ => uri.path.clone(),
    };
    Mount { script_name: script_name.into(), path_info }
}

/// mod_proxy_fcgi with `proxy-fcgi-pathinfo=1`: PATH_INFO is the path of its URL,
/// which is not decoded. Apache looks for it at the end of the decoded path, to cut
/// it off, and cuts nowhere or too late.
fn apache_path_info<'p>(given: &Given<'p>, uri: &RequestUri<'p>) -> Option<Mount<'p>> {
    let path_info = given.value(Known::PathInfo);
    let Cow::Owned(below) = percent_decode(path_info) else { return None };
    if !given.value(Known::ServerSoftware).starts_with(b"Apache")
        || !path_info.starts_with(b"/")
        || proxied(given.value(Known::ScriptFilename)).0 != path_info
    {
        return None;
    }
    mounted_before(&uri.path, &below)
        .or_else(|| mounted_before(&tidied(Cow::Borrowed(&uri.path)), &below))
        // The administrator has rewritten the path.
        .or_else(|| Some(Mount { script_name: b"".into(), path_info: below.into() }))
}

/// An application that is asked for `below`, where that is the end of `path`. It may hold
/// slashes that are still encoded: Apache's `AllowEncodedSlashes NoDecode`.
fn mounted_before(path: &[u8], below: &[u8]) -> Option<Mount<'static>> {
    let decoded = percent_decode(below);
    let (prefix, path_info) = [below, &*decoded]
        .into_iter()
        .find_map(|below| Some((path.strip_suffix(below)?, below)))?;
    let prefix = tidied(prefix.into());
    if !prefix.is_empty() && !prefix.starts_with(b"/") {
        return None;
    }
    let script_name = without_trailing_slash(&prefix).to_vec().into();
    Some(Mount { script_name, path_info: path_info.to_vec().into() })
}

/// The web server sent a PATH_INFO: it, or its administrator, made the split.
fn split_by_server<'p>(
    script_name: &'p [u8],
    path_info: &'p [u8],
    uri: &RequestUri<'p>,
) -> Mount<'p> {
    if !uri.is(&join(script_name, path_info)) {
        // The whole path in both: IIS, and `fastcgi_param PATH_INFO $fastcgi_script_name`
        // on top of nginx's stock params.
        if script_name == path_info {
            return split_at(b"", path_info);
        }
        // The whole path in SCRIPT_NAME only.
        if uri.is(script_name)
            && let Some(prefix) = script_name.strip_suffix(path_info)
        {
            return split_at(prefix, path_info);
        }
    } else if uri.is_undecoded(&join(script_name, path_info)) {
        let script_name = without_trailing_slash(script_name).into();
        return Mount { script_name, path_info: percent_decode(path_info) };
    }
    split_at(script_name, path_info)
}

/// Both as given, but the slash between them belongs to PATH_INFO.
fn split_at<'p>(script_name: &'p [u8], path_info: &'p [u8]) -> Mount<'p> {
    let prefix = without_trailing_slash(script_name);
    let path_info = match path_info.first() {
        Some(b'/' | b'*') => Cow::Borrowed(path_info),
        None if prefix == script_name && !prefix.is_empty() => Cow::Borrowed(path_info),
        _ => Cow::Owned([b"/", path_info].concat()),
    };
    Mount { script_name: prefix.into(), path_info }
}

/// Nothing tells a mount point: the application is the whole site.
fn unmounted<'p>(given: &Given<'p>, uri: &RequestUri<'p>) -> Mount<'p> {
    // What the server made of the path. Only DOCUMENT_URI is free of the file
    // name that `fastcgi_index` appends.
    let rewritten = match (given.value(Known::DocumentUri), given.value(Known::ScriptName)) {
        (b"", b"") => None,
        (b"", path) => (!uri.is(path) && !adds_index(path, &uri.path)).then_some(path),
        (path, _) => (!uri.is(path)).then_some(path),
    };
    let path_info = rewritten.map_or_else(|| uri.path.clone(), Cow::Borrowed);
    Mount { script_name: Cow::Borrowed(b""), path_info }
}

/// Whether `path` is the folder that was asked for and a file name in it
/// (HAProxy's `index`).
fn adds_index(path: &[u8], asked: &[u8]) -> bool {
    let file = path.strip_prefix(asked).filter(|_| asked.last() == Some(&b'/'));
    file.is_some_and(|file| memchr(b'/', file).is_none())
}

fn without_trailing_slash(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    path.get(..end).unwrap_or_default()
}

/// How a web server that sends no PATH_INFO came by its SCRIPT_NAME.
enum Server<'p> {
    /// By its own mapping of a prefix or a file: it is the mount point.
    Cgi,
    /// It is the whole path, and `ProxyPass` maps the end of it, `below`.
    Proxy { below: Cow<'p, [u8]> },
    /// It is the whole path, or absent.
    Other,
}

impl<'p> Server<'p> {
    fn of(given: &Given<'p>) -> Self {
        let (software, script_name) =
            (given.value(Known::ServerSoftware), given.value(Known::ScriptName));
        if script_name.is_empty() {
            return Self::Other;
        }
        if software.starts_with(b"lighttpd") {
            return Self::Cgi;
        }
        if !software.starts_with(b"Apache") {
            return Self::Other;
        }
        let (path, is_url) = proxied(given.value(Known::ScriptFilename));
        let below = percent_decode(path);
        if is_url || (below.starts_with(b"/") && script_name.ends_with(&below)) {
            Self::Proxy { below }
        } else {
            Self::Cgi
        }
    }
}

/// The path of the URL that Apache's SCRIPT_FILENAME holds, and whether all of the
/// URL stands there: `ProxyFCGIBackendType GENERIC` takes its front off.
fn proxied(filename: &[u8]) -> (&[u8], bool) {
    let (target, is_url) = match filename.strip_prefix(b"proxy:") {
        Some(url) => (url_path(url), true),
        None => (filename, false),
    };
    let path = memchr(b'?', target).and_then(|at| target.get(..at)).unwrap_or(target);
    (path, is_url)
}

/// The path of `fcgi://host:port/path` and `unix:/socket|fcgi://host/path`, any
/// scheme; `/` if there is none.
fn url_path(url: &[u8]) -> &[u8] {
    let rest = memmem::find(url, b"://").and_then(|at| url.get(at + 3..)).unwrap_or(url);
    memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

#[cfg(test)]
mod tests;
