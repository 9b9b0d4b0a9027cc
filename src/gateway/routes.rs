//! To which app a request goes that came in at a listener.
//!
//! An app has a request if its host and its path are the app's. The more exact
//! host wins: a name before `*.name`, a longer one of these before a shorter one,
//! all of them before no host at all. Among those the longest path wins.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::rc::Rc;

use cgi::Params;
use cgi::environ::{self, EnvironError};

use super::app::App;
use super::refusal::Refusal;
use crate::config::GatewayApp;

/// All ways from one listener.
#[derive(Debug)]
pub(super) enum Routes {
    /// Every request goes to the same app.
    One(Rc<Route>),
    /// The first one that fits is the best.
    Several(Vec<Rc<Route>>),
}

/// A way to an app.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) app: Rc<App>,
    host: Host,
    prefix: Vec<u8>,
    pub(super) mount: Mount,
}

/// Where the app stands for those that come this way.
#[derive(Debug)]
pub(super) enum Mount {
    /// Where the web server's params say.
    Told,
    /// Where the administrator says.
    At(Vec<u8>),
    /// At the route's path.
    Below(Vec<u8>),
}

/// Which hosts a route is for. In this order they are tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Exact(Vec<u8>),
    /// All below: the longer the better. With the dot in front.
    Below(Reverse<usize>, Vec<u8>),
    Any,
}

impl Routes {
    /// The ways to these apps.
    pub(super) fn new<'c>(apps: impl IntoIterator<Item = (Rc<App>, &'c GatewayApp)>) -> Self {
        let mut routes: Vec<Rc<Route>> =
            apps.into_iter().flat_map(|(app, config)| Route::all(&app, config)).collect();
        if let [route] = &*routes
            && route.host == Host::Any
            && route.prefix.is_empty()
        {
            return Self::One(Rc::clone(route));
        }
        routes.sort_by_key(|route| (route.host.clone(), Reverse(route.prefix.len())));
        Self::Several(routes)
    }

    /// The way of a request with these params.
    ///
    /// # Errors
    /// A [`Refusal`] if no app has it.
    pub(super) fn find(&self, params: &Params) -> Result<Rc<Route>, Refusal> {
        let routes = match self {
            Self::One(route) => return Ok(Rc::clone(route)),
            Self::Several(routes) => routes,
        };
        let path =
            environ::path(params).map_err(|error| Refusal::bad_request(error.to_string()))?;
        let host = host(params);
        let found = routes.iter().find(|route| route.host.is(&host) && route.has_below(&path));
        found.cloned().ok_or_else(|| {
            let (host, path) = (String::from_utf8_lossy(&host), String::from_utf8_lossy(&path));
            Refusal::not_found(format!("no app has the host {host} and the path {path}"))
        })
    }
}

impl Route {
    fn all(app: &Rc<App>, config: &GatewayApp) -> Vec<Rc<Self>> {
        let hosts = match &*config.hosts {
            [] => vec![Host::Any],
            hosts => hosts.iter().map(|host| Host::new(host)).collect(),
        };
        let no_prefix = [String::new()];
        let prefixes = if config.prefixes.is_empty() { &no_prefix[..] } else { &config.prefixes };
        let route = |host: &Host, prefix: &str| {
            let (host, prefix) = (host.clone(), prefix.as_bytes().to_vec());
            let mount = match &config.script_name {
                Some(name) => Mount::At(name.as_bytes().to_vec()),
                None if prefix.is_empty() => Mount::Told,
                None => Mount::Below(prefix.clone()),
            };
            Rc::new(Self { app: Rc::clone(app), host, prefix, mount })
        };
        hosts.iter().flat_map(|host| prefixes.iter().map(move |p| route(host, p))).collect()
    }

    fn has_below(&self, path: &[u8]) -> bool {
        let rest = path.strip_prefix(&*self.prefix);
        rest.is_some_and(|rest| self.prefix.is_empty() || matches!(rest.first(), None | Some(b'/')))
    }
}

impl Mount {
    /// The params as the app shall see them.
    ///
    /// # Errors
    /// When they can't make an environ.
    pub(super) fn environ(&self, params: Params) -> Result<Params, EnvironError> {
        match self {
            Self::Told => environ::normalise(params, None),
            Self::At(script_name) => environ::normalise(params, Some(script_name)),
            Self::Below(prefix) => environ::normalise_below(params, prefix),
        }
    }
}

impl Host {
    fn new(pattern: &str) -> Self {
        match pattern.strip_prefix('*') {
            Some(below) => Self::Below(Reverse(below.len()), below.as_bytes().to_vec()),
            None => Self::Exact(pattern.as_bytes().to_vec()),
        }
    }

    fn is(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(_, end) => host.len() > end.len() && host.ends_with(end),
            Self::Any => true,
        }
    }
}

/// The host that was asked for: lower case, without port and closing dot. Of
/// those that send no Host header it is the server's own name.
fn host(params: &Params) -> Cow<'_, [u8]> {
    let sent = |name: &[u8]| params.last(name).filter(|value| !value.is_empty());
    let host = sent(b"HTTP_HOST").or_else(|| sent(b"SERVER_NAME")).unwrap_or_default();
    let port = host.iter().rposition(|&byte| byte == b':');
    let name = match port.and_then(|at| host.split_at_checked(at)) {
        // The colons of an address without brackets are a part of it.
        Some((name, _)) if name.ends_with(b"]") || !name.contains(&b':') => name,
        _ => host,
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    match name.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AppId;
    use crate::observe::metrics::AppMetrics;

    fn params(host: &str, uri: &str) -> Params {
        let pairs = [("REQUEST_METHOD", "GET"), ("HTTP_HOST", host), ("REQUEST_URI", uri)];
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    /// Routes to apps with these hosts and prefixes; the answer is a place among
    /// them.
    async fn table(apps: &[(&[&str], &[&str])], cases: &[(&str, &str, Option<usize>)]) {
        let (reports, _nobody) = tokio::sync::mpsc::unbounded_channel();
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let configs: Vec<_> = apps
            .iter()
            .map(|(hosts, prefixes)| GatewayApp {
                hosts: owned(hosts),
                prefixes: owned(prefixes),
                ..GatewayApp::default()
            })
            .collect();
        let metrics = || std::sync::Arc::new(AppMetrics::new("app"));
        let made: Vec<_> = configs
            .iter()
            .enumerate()
            .map(|(at, config)| App::new(AppId(at), config, 10, reports.clone(), metrics()))
            .collect();
        let routes = Routes::new(made.iter().cloned().zip(&configs));
        for (host, uri, expected) in cases {
            let found = routes.find(&params(host, uri)).ok();
            let found = found.and_then(|f| made.iter().position(|app| Rc::ptr_eq(app, &f.app)));
            assert_eq!(found, *expected, "{host} {uri}");
        }
    }

    async fn local(test: impl Future<Output = ()>) {
        tokio::task::LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn one_app_has_everything() {
        local(table(&[(&[], &[])], &[("", "/", Some(0)), ("x", "*", Some(0))])).await;
    }

    #[tokio::test]
    async fn the_longest_path_wins() {
        local(table(
            &[(&[], &["/shop"]), (&[], &["/shop/admin", "/a b"]), (&[], &[])],
            &[
                ("x", "/", Some(2)),
                ("x", "/shop", Some(0)),
                ("x", "/shop/", Some(0)),
                ("x", "/shop?x", Some(0)),
                ("x", "/shopping", Some(2)),
                ("x", "/shop/admin/x", Some(1)),
                ("x", "/shop/administration", Some(0)),
                ("x", "/a%20b/c", Some(1)),
                // What the web server has tidied before it decided.
                ("x", "/shop/../other", Some(2)),
                ("x", "//shop/./admin", Some(1)),
            ],
        ))
        .await;
    }

    #[tokio::test]
    async fn the_more_exact_host_wins_before_the_path() {
        local(table(
            &[
                (&["example.org", "www.example.org"], &[]),
                (&["*.example.org"], &[]),
                (&["*.b.example.org"], &[]),
                (&[], &["/any"]),
                (&["example.org"], &["/shop"]),
            ],
            &[
                ("example.org", "/", Some(0)),
                ("EXAMPLE.org.:8080", "/", Some(0)),
                ("example.org", "/shop/x", Some(4)),
                ("example.org", "/any", Some(0)),
                ("www.example.org", "/shop", Some(0)),
                ("a.example.org", "/", Some(1)),
                ("a.b.example.org", "/", Some(2)),
                ("other.org", "/any", Some(3)),
                ("other.org", "/", None),
                ("notexample.org", "/", None),
                ("[::1]:80", "/any/x", Some(3)),
                ("::1", "/any/x", Some(3)),
            ],
        ))
        .await;
    }
}
