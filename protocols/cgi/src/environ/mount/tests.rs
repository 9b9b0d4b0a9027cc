//! What each web server sends for a path, and what is made of it.

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
    // The same inside a <Location>.
    proxy("/shop/a%2Fb%20c", "/shop/a%2Fb c", "proxy:fcgi://localhost/a%252Fb%20c", ("/shop", "/a/b c"));
    proxy("/a%252Fb", "/a%2Fb", "proxy:fcgi://localhost/a%252Fb", ("", "/a%2Fb"));
    proxy("/a%2Fb", "/a%2Fb", "proxy:fcgi://localhost/var/www/a/b", ("", "/a/b"));
    check(None, &[APACHE, (REQUEST_URI, "/app/a%2Fb"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/a%2Fb")], ("/app", "/a/b"));
    // No dot segments of the client's get into SCRIPT_NAME.
    proxy("/x/../a", "/a", "proxy:fcgi://localhost/a", ("", "/a"));
    // proxy-fcgi-pathinfo
    check(None, &[APACHE, (REQUEST_URI, "/app/x"), (SCRIPT_NAME, "/app"), (PATH_INFO, "/x"),
        (SCRIPT_FILENAME, "proxy:fcgi://127.0.0.1:9000/x")], ("/app", "/x"));
    // proxy-fcgi-pathinfo=1, as 2.4.71 sent it
    let raw = |uri, script, path_info, filename, expected| check(None, &[APACHE,
        (REQUEST_URI, uri), (SCRIPT_NAME, script), (PATH_INFO, path_info), (SCRIPT_FILENAME, filename)], expected);
    raw("/a%20b", "/a b", "/a%20b", "proxy:fcgi://127.0.0.1:9000/a%20b", ("", "/a b"));
    raw("/a%20b/c?q=1", "/a b", "/a%20b/c", "proxy:fcgi://127.0.0.1:9000/a%20b/c", ("", "/a b/c"));
    raw("/shop/a%2Fb%20c", "/shop/a%2Fb c", "/a%2Fb%20c", "proxy:fcgi://127.0.0.1:9000/a%2Fb%20c", ("/shop", "/a/b c"));
    raw("/x/../shop/./a%20b", "/shop/a b", "/a%20b", "proxy:fcgi://127.0.0.1:9000/a%20b", ("/shop", "/a b"));
    raw("/a//b%20c", "/a/b c", "/a/b%20c", "proxy:fcgi://127.0.0.1:9000/a/b%20c", ("", "/a/b c"));
    raw("/old%20x", "/old x", "/new%20x", "proxy:fcgi://127.0.0.1:9000/new%20x", ("", "/new x"));
    raw("/a%20b/c", "/a b", "/a%20b/c", "/a%20b/c", ("", "/a b/c"));
    raw("/shop/a%2Fb%20c", "/shop/a%2Fb c", "/a%252Fb%20c", "proxy:fcgi://localhost/a%252Fb%20c", ("/shop", "/a/b c"));
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
