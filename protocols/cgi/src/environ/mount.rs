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
        return split_by_server(script_name, path_info, uri);
    }
    match Server::of(given) {
        Server::Cgi => split_at(script_name, b""),
        Server::Proxy { below } => {
            let prefix: Option<Cow<'p, [u8]>> = if uri.is_undecoded(script_name) {
                let prefix = uri.path.strip_suffix(&*below);
                prefix.map(|prefix| without_trailing_slash(prefix).to_vec().into())
            } else {
                let prefix = script_name.strip_suffix(&*below);
                prefix.map(|prefix| without_trailing_slash(prefix).into())
            };
            match prefix {
                Some(script_name) => Mount { script_name, path_info: below },
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
        let filename = given.value(Known::ScriptFilename);
        let (target, is_url) = match filename.strip_prefix(b"proxy:") {
            Some(url) => (url_path(url), true),
            // ProxyFCGIBackendType GENERIC takes the front of the URL off.
            None => (filename, false),
        };
        let path = memchr(b'?', target).and_then(|at| target.get(..at)).unwrap_or(target);
        let below = percent_decode(path);
        if is_url || (below.starts_with(b"/") && script_name.ends_with(&below)) {
            Self::Proxy { below }
        } else {
            Self::Cgi
        }
    }
}

/// The path of `fcgi://host:port/path` and `unix:/socket|fcgi://host/path`, any
/// scheme; `/` if there is none.
fn url_path(url: &[u8]) -> &[u8] {
    let rest = memmem::find(url, b"://").and_then(|at| url.get(at + 3..)).unwrap_or(url);
    memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    const SCRIPT_NAME: &str = "SCRIPT_NAME";
    const PATH_INFO: &str = "PATH_INFO";
    const REQUEST_URI: &str = "REQUEST_URI";
    const DOCUMENT_URI: &str = "DOCUMENT_URI";
    const SCRIPT_FILENAME: &str = "SCRIPT_FILENAME";
    const LIGHTTPD: (&str, &str) = ("SERVER_SOFTWARE", "lighttpd/1.4.69");
    const APACHE: (&str, &str) = ("SERVER_SOFTWARE", "Apache/2.4.62 (Debian)");

    fn check(configured: Option<&str>, pairs: &[(&str, &str)], expected: (&str, &str)) {
        let params: Params =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let given = Given::new(&params).unwrap();
        let uri = RequestUri::of(&given);
        let at = configured.map_or(MountPoint::Told, |name| MountPoint::At(name.as_bytes()));
        let mount = mount(&given, &uri, at);
        let got = (mount.script_name, mount.path_info);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let got = (text(&got.0), text(&got.1));
        assert_eq!((&*got.0, &*got.1), expected, "{configured:?} {pairs:?}");
    }

    #[test]
    #[rustfmt::skip]
    fn behind_nginx() {
        let stock = |uri, script, expected| check(None,
            &[(REQUEST_URI, uri), (SCRIPT_NAME, script), (DOCUMENT_URI, script)], expected);
        stock("/", "/", ("", "/"));
        stock("/a/b?c", "/a/b", ("", "/a/b"));
        stock("/caf%C3%A9%20x", "/café x", ("", "/café x"));
        // The application gets the path as asked, not as nginx tidied it.
        stock("//a/./b/../c", "/a/c", ("", "//a/./b/../c"));
        stock("//a", "//a", ("", "//a"));
        // rewrite, try_files, error_page: what the administrator made of it.
        stock("/old?x", "/new", ("", "/new"));
        // fastcgi_index appends to SCRIPT_NAME only.
        check(None, &[(REQUEST_URI, "/"), (SCRIPT_NAME, "/index.py"), (DOCUMENT_URI, "/")], ("", "/"));
        // Stock scgi_params have neither.
        check(None, &[(REQUEST_URI, "/a%20b?c"), (DOCUMENT_URI, "/a b")], ("", "/a b"));
        check(None, &[(REQUEST_URI, "/old"), (DOCUMENT_URI, "/new")], ("", "/new"));
        // PATH_INFO $fastcgi_script_name added to stock fastcgi_params.
        check(None, &[(REQUEST_URI, "/a//b"), (SCRIPT_NAME, "/a/b"), (PATH_INFO, "/a/b")], ("", "/a/b"));
        // fastcgi_split_path_info ^(/app)(/.*)$;
        check(None, &[(REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/x")], ("/app", "/x"));
        // The same at a path that repeats: both equal, and still a split.
        check(None, &[(REQUEST_URI, "/app/app"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/app")], ("/app", "/app"));
        // PATH_INFO by hand, SCRIPT_NAME left at the stock value.
        check(None, &[(REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/app/x"), (PATH_INFO, "/x")], ("/app", "/x"));
        check(None, &[(REQUEST_URI, "/app/"), (SCRIPT_NAME, "/app/"), (PATH_INFO, "/")], ("/app", "/"));
    }

    #[test]
    #[rustfmt::skip]
    fn behind_lighttpd() {
        check(None, &[LIGHTTPD, (REQUEST_URI, "/app/x?y"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/x")], ("/app", "/x"));
        check(None, &[LIGHTTPD, (REQUEST_URI, "/app"), (SCRIPT_NAME, "/app")], ("/app", ""));
        check(None, &[LIGHTTPD, (REQUEST_URI, "/app/app"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/app")], ("/app", "/app"));
        // "/" with fix-root-scriptname, and without it.
        check(None, &[LIGHTTPD, (REQUEST_URI, "/a%20b"), (SCRIPT_NAME, ""), (PATH_INFO, "/a b")], ("", "/a b"));
        check(None, &[LIGHTTPD, (REQUEST_URI, "/"), (SCRIPT_NAME, "/")], ("", "/"));
        // An Authorizer is given neither.
        check(None, &[LIGHTTPD, (REQUEST_URI, "/secret?x")], ("", "/secret"));
    }

    #[test]
    #[rustfmt::skip]
    fn behind_apache() {
        // mod_fcgid runs a file.
        let file = (SCRIPT_FILENAME, "/var/www/app.fcgi");
        check(None, &[APACHE, file, (REQUEST_URI, "/app.fcgi/x"), (SCRIPT_NAME, "/app.fcgi"), (PATH_INFO, "/x")], ("/app.fcgi", "/x"));
        check(None, &[APACHE, file, (REQUEST_URI, "/app.fcgi"), (SCRIPT_NAME, "/app.fcgi")], ("/app.fcgi", ""));
        // mod_fcgid, with RewriteRule ^(.*)$ /app.fcgi/$1: the split is kept.
        check(None, &[APACHE, file, (REQUEST_URI, "/x"), (SCRIPT_NAME, "/app.fcgi"), (PATH_INFO, "/x")], ("/app.fcgi", "/x"));

        let proxy = |uri, script, filename, expected| check(None,
            &[APACHE, (REQUEST_URI, uri), (SCRIPT_NAME, script), (SCRIPT_FILENAME, filename)], expected);
        // ProxyPass "/" "fcgi://127.0.0.1:9000/"
        proxy("/", "/", "proxy:fcgi://127.0.0.1:9000/", ("", "/"));
        proxy("/a/b?c", "/a/b", "proxy:fcgi://127.0.0.1:9000/a/b?c", ("", "/a/b"));
        proxy("/a%20b", "/a b", "proxy:fcgi://127.0.0.1:9000/a%20b", ("", "/a b"));
        // ProxyPass "/app/" "fcgi://127.0.0.1:9000/"
        proxy("/app/x", "/app/x", "proxy:fcgi://127.0.0.1:9000/x", ("/app", "/x"));
        proxy("/app/", "/app/", "proxy:fcgi://127.0.0.1:9000/", ("/app", "/"));
        // ProxyPass "/app" "fcgi://127.0.0.1:9000/app"
        proxy("/app/x", "/app/x", "proxy:fcgi://127.0.0.1:9000/app/x", ("", "/app/x"));
        // unix sockets, balancers, SCGI
        proxy("/app/x", "/app/x", "proxy:unix:/run/f.sock|fcgi://localhost/x", ("/app", "/x"));
        proxy("/app/x", "/app/x", "proxy:balancer://pool/x", ("/app", "/x"));
        proxy("/app/x", "/app/x", "proxy:scgi://[::1]:4000/x", ("/app", "/x"));
        // ProxyFCGIBackendType GENERIC
        proxy("/app/x", "/app/x", "/x", ("/app", "/x"));
        // Found by fuzzing: no SCRIPT_NAME may end with a slash.
        proxy("/app//x", "/app//x", "proxy:fcgi://127.0.0.1:9000/x", ("/app", "/x"));
        proxy("/app/ x", "/app/ x", "%20x", ("/app/ x", ""));
        // SetHandler: the file name stands after the host and tells nothing.
        proxy("/app/x", "/app/x", "proxy:fcgi://localhost/var/www/app/x", ("", "/app/x"));
        // AllowEncodedSlashes NoDecode: only the slash stays encoded.
        proxy("/a%2Fb%20c", "/a%2Fb c", "proxy:fcgi://localhost/a%2Fb%20c", ("", "/a/b c"));
        proxy("/app/a%2Fb", "/app/a%2Fb", "proxy:fcgi://localhost/a%2Fb", ("/app", "/a/b"));
        proxy("/a%252Fb", "/a%2Fb", "proxy:fcgi://localhost/a%252Fb", ("", "/a%2Fb"));
        proxy("/a%2Fb", "/a%2Fb", "proxy:fcgi://localhost/var/www/a/b", ("", "/a/b"));
        check(None, &[APACHE, (REQUEST_URI, "/app/a%2Fb"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/a%2Fb")], ("/app", "/a/b"));
        // No dot segments of the client's get into SCRIPT_NAME.
        proxy("/x/../a", "/a", "proxy:fcgi://localhost/a", ("", "/a"));
        // proxy-fcgi-pathinfo
        check(None, &[APACHE, (REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/x"),
            (SCRIPT_FILENAME, "proxy:fcgi://127.0.0.1:9000/x")], ("/app", "/x"));
        // mod_authnz_fcgi sends neither.
        check(None, &[APACHE, (REQUEST_URI, "/secret")], ("", "/secret"));
    }

    #[test]
    #[rustfmt::skip]
    fn behind_the_others() {
        // Caddy: the whole path, rewritten or not.
        check(None, &[(REQUEST_URI, "/a/b?c"), (SCRIPT_NAME, "/a/b"), (PATH_INFO, ""), (DOCUMENT_URI, "/a/b")], ("", "/a/b"));
        check(None, &[(REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/x"), (PATH_INFO, ""), (DOCUMENT_URI, "/x")], ("", "/x"));
        // HAProxy, also with `index` and with `path-info`.
        check(None, &[(REQUEST_URI, "/a"), (SCRIPT_NAME, "/a")], ("", "/a"));
        check(None, &[(REQUEST_URI, "/a/"), (SCRIPT_NAME, "/a/index.py")], ("", "/a/"));
        check(None, &[(REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/x")], ("/app", "/x"));
        // h2o
        check(None, &[(REQUEST_URI, "/a?b"), (SCRIPT_NAME, ""), (PATH_INFO, "/a")], ("", "/a"));
        // IIS
        check(None, &[("SERVER_SOFTWARE", "Microsoft-IIS/10.0"), (SCRIPT_NAME, "/a"), (PATH_INFO, "/a")], ("", "/a"));
        check(None, &[(REQUEST_URI, "/a"), (SCRIPT_NAME, "/a"), (PATH_INFO, "/a")], ("", "/a"));
        // Nothing at all, OPTIONS *, a proxy's absolute form.
        check(None, &[], ("", "/"));
        check(None, &[(REQUEST_URI, "*"), (SCRIPT_NAME, "*")], ("", "*"));
        check(None, &[(REQUEST_URI, "http://x.org/a?b"), (SCRIPT_NAME, "/a")], ("", "/a"));
    }

    #[test]
    fn a_configured_mount_point_wins() {
        let cases = [
            ("/app", "/app/x?y", ("/app", "/x")),
            ("/app/", "/app/x", ("/app", "/x")),
            ("/app", "/app", ("/app", "")),
            ("/app", "/app/", ("/app", "/")),
            ("/app", "/application", ("/app", "/application")),
            ("/app", "/x", ("/app", "/x")),
            ("/a b", "/a%20b/c%2Fd", ("/a b", "/c/d")),
            ("/", "/app/x", ("", "/app/x")),
            ("", "/", ("", "/")),
        ];
        for (configured, uri, expected) in cases {
            let pairs = [(REQUEST_URI, uri), (SCRIPT_NAME, "/app/x"), (PATH_INFO, "/wrong")];
            check(Some(configured), &pairs, expected);
        }
    }
    #[test]
    fn one_that_the_path_chose_has_what_is_below() {
        let cases = [
            ("/shop", "/shop/x?y", "/shop/x", "/x"),
            ("/shop", "/shop", "/shop", ""),
            ("/shop/", "/shop/", "/shop/", "/"),
            ("/a b", "/a%20b/c%2Fd", "/a b/c/d", "/c/d"),
            // As asked, if that is below in the same way; else tidied.
            ("/shop", "/shop//x/.", "/shop/x/", "//x/."),
            ("/shop", "/admin/../shop/x", "/shop/x", "/x"),
            ("/shop", "//shop/x", "/shop/x", "/x"),
            // A rewrite of the web server's.
            ("/shop", "/old", "/shop/new", "/new"),
        ];
        for (prefix, uri, document, path_info) in cases {
            let params: Params =
                [(REQUEST_URI, uri), (SCRIPT_NAME, document), (DOCUMENT_URI, document)]
                    .into_iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                    .collect();
            let given = Given::new(&params).unwrap();
            let uri = RequestUri::of(&given);
            let mount = mount(&given, &uri, MountPoint::Below(prefix.as_bytes()));
            let script_name = prefix.trim_end_matches('/');
            let expected = (script_name.as_bytes(), path_info.as_bytes());
            assert_eq!((&*mount.script_name, &*mount.path_info), expected, "{document}");
        }
    }
}
