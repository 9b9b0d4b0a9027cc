//! What is told of a request, under the names of OpenTelemetry's conventions for HTTP
//! servers; what only flupd knows is under `flupd.`.

use std::time::Duration;

use cgi::Params;

use crate::gateway::ended::Known;
use crate::observe::access::{LogEntry, request_id};

/// The longest text, in bytes. What is past that is cut: thousands of spans may wait.
const MAX_TEXT: usize = 1024;

/// Parameters of a query that give access to what they name: not told, by the
/// conventions.
const SECRETS: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Decimal(f64),
}

/// All attributes of a span.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// What the span is called.
    pub(super) name: &'static str,
    pub(super) all: Vec<(&'static str, Value)>,
}

impl Attributes {
    /// What the web server has told.
    pub(super) fn of_request(params: Option<&Params>) -> Self {
        let mut this = Self { name: "HTTP", all: Vec::with_capacity(32) };
        let Some(params) = params else { return this };
        let param = |name: &str| params.get(name.as_bytes()).filter(|value| !value.is_empty());
        this.method(param("REQUEST_METHOD").unwrap_or_default());
        let uri = param("REQUEST_URI").or(param("PATH_INFO")).unwrap_or_default();
        let mut parts = uri.splitn(2, |byte| *byte == b'?');
        this.bytes("url.path", parts.next());
        let query = param("QUERY_STRING").or(parts.next());
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            this.add("url.query", without_secrets(&text(query)));
        }
        this.add("url.scheme", scheme(param("HTTPS"), param("REQUEST_SCHEME")));
        let host = param("HTTP_HOST").map(text).unwrap_or_default();
        let (name, port) = split_port(&host);
        if name.is_empty() {
            this.bytes("server.address", param("SERVER_NAME"));
        } else {
            this.add("server.address", name.to_owned());
        }
        this.number("server.port", port.map(str::as_bytes).or(param("SERVER_PORT")));
        this.bytes("client.address", param("REMOTE_ADDR"));
        this.number("client.port", param("REMOTE_PORT"));
        let protocol = param("SERVER_PROTOCOL").and_then(|text| text.strip_prefix(b"HTTP/"));
        // By the conventions: 2, not 2.0.
        let version = protocol.map(|version| version.strip_suffix(b".0").unwrap_or(version));
        this.bytes("network.protocol.version", version.map(|v| if v == b"1" { b"1.0" } else { v }));
        this.bytes("user_agent.original", param("HTTP_USER_AGENT"));
        this.number("http.request.body.size", param("CONTENT_LENGTH"));
        this.bytes("flupd.request_id", request_id(params));
        this
    }

    /// What the client has got.
    pub(super) fn answer(&mut self, entry: &LogEntry<'_>) {
        // A client that went before that was sent no status.
        let sent = entry.head.is_some() || entry.why.is_some();
        if let Some(status) = entry.status.filter(|_| sent) {
            self.add("http.response.status_code", i64::from(status));
            self.add(
                "http.response.body.size",
                i64::try_from(entry.body_bytes).unwrap_or(i64::MAX),
            );
        }
    }

    /// What only flupd knows.
    pub(super) fn flupd(&mut self, known: &Known<'_>) {
        let LogEntry { times, seat, app, outcome, attempts, cost, .. } = &known.entry;
        self.add("flupd.outcome", outcome.name());
        if let Some(refusal) = known.refusal {
            self.add("flupd.refused", refusal.reason.label());
        }
        if let Some(app) = app {
            self.add("flupd.app", (*app).to_owned());
        }
        if let Some(pool) = known.exchange.and_then(|exchange| exchange.pool()) {
            self.add("flupd.generation", i64::try_from(pool.generation()).unwrap_or(i64::MAX));
        }
        if let Some(seat) = seat {
            self.add("flupd.worker", i64::try_from(seat.worker).unwrap_or(i64::MAX));
            self.add("flupd.worker.pid", i64::from(seat.pid));
            self.add("flupd.worker.thread", i64::try_from(seat.thread).unwrap_or(i64::MAX));
        }
        if *attempts > 1 {
            self.add("flupd.attempts", i64::from(*attempts));
        }
        let told = [
            ("flupd.receive.duration", times.receive),
            ("flupd.queue.duration", times.queue),
            ("flupd.gil.duration", times.gil),
            ("flupd.app.duration", times.app),
        ];
        let sum: Option<Duration> = told.iter().map(|(_, lasted)| *lasted).sum();
        let written = sum.map(|sum| times.whole.saturating_sub(sum));
        for (name, lasted) in told.into_iter().chain([("flupd.write.duration", written)]) {
            if let Some(lasted) = lasted {
                self.add(name, Value::Decimal(lasted.as_secs_f64()));
            }
        }
        if let Some(cost) = cost {
            let spent = Duration::from_micros(cost.user.saturating_add(cost.system));
            self.add("flupd.cpu.duration", Value::Decimal(spent.as_secs_f64()));
        }
    }

    /// The method, of which there may only be few: a span is called by it.
    fn method(&mut self, method: &[u8]) {
        const KNOWN: [&str; 10] = [
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
        ];
        match KNOWN.into_iter().find(|known| known.as_bytes() == method) {
            Some(known) => {
                self.name = known;
                self.add("http.request.method", known);
            }
            None => {
                self.add("http.request.method", "_OTHER");
                self.bytes("http.request.method_original", Some(method));
            }
        }
    }

    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.all.push((name, value.into()));
    }

    fn bytes(&mut self, name: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.add(name, text(value));
        }
    }

    fn number(&mut self, name: &'static str, value: Option<&[u8]>) {
        let number = value.and_then(|value| str::from_utf8(value).ok()?.parse::<i64>().ok());
        if let Some(number) = number.filter(|number| *number >= 0) {
            self.add(name, number);
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Bytes of a client as text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes)).into_owned()
}

/// As apps see it in `wsgi.url_scheme`.
fn scheme(https: Option<&[u8]>, scheme: Option<&[u8]>) -> &'static str {
    let on =
        |value: &[u8]| [&b"on"[..], b"1", b"true"].iter().any(|on| value.eq_ignore_ascii_case(on));
    let is_https = match (https, scheme) {
        (Some(https), _) => on(https),
        (None, Some(scheme)) => scheme.eq_ignore_ascii_case(b"https"),
        (None, None) => false,
    };
    if is_https { "https" } else { "http" }
}

/// `example.org:8080` and `[::1]:8080` in two.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((before, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            let bare = before.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            match bare {
                Some(address) => (address, Some(port)),
                // An IPv6 address without brackets has no port.
                None if before.contains(':') => (host, None),
                None => (before, Some(port)),
            }
        }
        _ => {
            let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            (bare.unwrap_or(host), None)
        }
    }
}

/// A query without the values of what gives access.
fn without_secrets(query: &str) -> String {
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) if SECRETS.contains(&name) => format!("{name}=REDACTED"),
        _ => part.to_owned(),
    };
    query.split('&').map(part).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(params: &[(&str, &str)]) -> Vec<String> {
        let params: Params = params.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let attributes = Attributes::of_request(Some(&params));
        let shown = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
        };
        let all = attributes.all.iter().map(|(name, value)| format!("{name}={}", shown(value)));
        [attributes.name.to_owned()].into_iter().chain(all).collect()
    }

    #[test]
    fn a_request_is_told_by_the_conventions() {
        let told = of(&[
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/shop/a%20b?x=1"),
            ("QUERY_STRING", "x=1"),
            ("REQUEST_SCHEME", "https"),
            ("HTTP_HOST", "shop.example:8443"),
            ("SERVER_NAME", "_"),
            ("SERVER_PORT", "443"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_PORT", "4711"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
            ("HTTP_USER_AGENT", "curl/8"),
            ("CONTENT_LENGTH", "17"),
            ("REQUEST_ID", "r-1"),
        ]);
        let expected = [
            "POST",
            "http.request.method=POST",
            "url.path=/shop/a%20b",
            "url.query=x=1",
            "url.scheme=https",
            "server.address=shop.example",
            "server.port=8443",
            "client.address=192.0.2.7",
            "client.port=4711",
            "network.protocol.version=2",
            "user_agent.original=curl/8",
            "http.request.body.size=17",
            "flupd.request_id=r-1",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_client_makes_up_is_no_name() {
        let told = of(&[("REQUEST_METHOD", "BREW"), ("SERVER_NAME", "a"), ("SERVER_PORT", "x")]);
        let expected = [
            "HTTP",
            "http.request.method=_OTHER",
            "http.request.method_original=BREW",
            "url.scheme=http",
            "server.address=a",
        ];
        assert_eq!(told, expected);
        let long = of(&[("REQUEST_METHOD", "GET"), ("HTTP_USER_AGENT", &"x".repeat(9000))]);
        assert!(long.iter().all(|text| text.len() < MAX_TEXT + 50));
    }

    #[test]
    fn the_port_is_split_off() {
        for (host, name, port) in [
            ("a", "a", None),
            ("a:80", "a", Some("80")),
            ("a:", "a:", None),
            ("[::1]:80", "::1", Some("80")),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("", "", None),
        ] {
            assert_eq!(split_port(host), (name, port), "{host}");
        }
    }

    #[test]
    fn keys_of_others_are_not_told() {
        let query = "a=1&sig=abc&Signature=x&sig&b=sig=2&X-Goog-Signature=";
        let told = "a=1&sig=REDACTED&Signature=REDACTED&sig&b=sig=2&X-Goog-Signature=REDACTED";
        assert_eq!(without_secrets(query), told);
    }

    #[test]
    fn the_scheme_is_that_of_the_client() {
        assert_eq!(scheme(Some(b"on"), None), "https");
        assert_eq!(scheme(Some(b"off"), Some(b"https")), "http");
        assert_eq!(scheme(None, Some(b"https")), "https");
        assert_eq!(scheme(None, None), "http");
    }
}
