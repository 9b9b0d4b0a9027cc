//! What the status listener answers to one request.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use tokio::time::MissedTickBehavior;

use super::host::Host;
use super::source::{Silence, Source};
use crate::observe::dashboard;
use crate::observe::metrics::history::{self, History};

/// The format of Prometheus' text.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The dashboard's pages load nothing from elsewhere, run no text as code, and
/// stand in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

const HERE: &str = "here are /, /status.json, /metrics, /healthz, /readyz\n";

const QUERY: &str = "the query can be\n\
    frames=MS  with the frames of the requests that have run for so many milliseconds\n\
    since=MS   with what was counted after this moment, in milliseconds since 1970\n";

/// Knows what can be told.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) source: Source,
    pub(super) history: History,
    /// What the listener may be called.
    pub(super) host: Host,
}

impl Teller {
    /// Notes once a second what is counted.
    pub(super) async fn remember(&self) {
        let mut seconds = tokio::time::interval(history::EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            if let Ok(sample) = self.source.sample().await {
                self.history.add(sample);
            }
        }
    }

    /// The answer to a request.
    pub(super) async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match uri.path() {
            "/metrics" => match self.source.metrics(uri.query() == Some("pss")).await {
                Ok(metrics) => text(StatusCode::OK, METRICS, metrics),
                Err(Silence) => silence(),
            },
            "/healthz" => text(StatusCode::OK, PLAIN, "alive\n"),
            "/readyz" => match self.source.unready().await {
                Err(Silence) => silence(),
                Ok(None) => text(StatusCode::OK, PLAIN, "ready\n"),
                Ok(Some(why)) => text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
            },
            path => {
                // Numbers are one thing, URLs and code another: see `host`.
                if let Err(why) = self.host.check(headers.get(HOST)) {
                    return text(StatusCode::FORBIDDEN, PLAIN, why);
                }
                match (path, dashboard::file(path)) {
                    ("/status.json", _) => self.report(uri.query()).await,
                    (_, Some(file)) => text(StatusCode::OK, file.kind, file.text),
                    (_, None) => text(StatusCode::NOT_FOUND, PLAIN, HERE),
                }
            }
        }
    }

    /// What runs, and what was counted before.
    async fn report(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let (mut frames, mut since) = (None, None);
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            match pair.split_once('=').map(|(key, value)| (key, value.parse::<u64>())) {
                Some(("frames", Ok(ms))) => frames = Some(Duration::from_millis(ms)),
                Some(("since", Ok(ms))) => since = Some(ms),
                _ => return text(StatusCode::BAD_REQUEST, PLAIN, QUERY),
            }
        }
        let history = since.map(|since| self.history.since(since));
        match self.source.report(frames, history).await {
            Err(Silence) => silence(),
            Ok(Ok(json)) => text(StatusCode::OK, JSON, json),
            Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
        }
    }
}

fn silence() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "flupd's supervisor does not answer\n")
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let fixed = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::asked;
    use crate::observe::metrics::{Metrics, Stand};

    fn teller(address: &str) -> Teller {
        let source = Source::Here { metrics: Default::default(), asks: asked::nobody() };
        Teller { source, history: History::default(), host: Host::of(address) }
    }

    fn metrics(teller: &Teller) -> &Metrics {
        match &teller.source {
            Source::Here { metrics, .. } => metrics,
            Source::Aside(_) => unreachable!(),
        }
    }

    async fn get(teller: &Teller, method: Method, path: &str) -> Response<Full<Bytes>> {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("127.0.0.1:9100"))]);
        teller.answer(&method, &Uri::try_from(path).unwrap(), &headers).await
    }

    #[tokio::test]
    async fn nothing_but_get_is_answered() {
        let teller = teller("127.0.0.1:9100");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let response = get(&teller, method, "/metrics").await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
        for (path, status) in [("/metrics", 200), ("/", 200), ("/metricsx", 404)] {
            assert_eq!(get(&teller, Method::HEAD, path).await.status().as_u16(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn readiness_follows_the_workers() {
        let teller = teller("127.0.0.1:9100");
        let ready = async || get(&teller, Method::GET, "/readyz").await.status().as_u16();
        let app = metrics(&teller).app(crate::config::AppId(0), None);
        // It is only tried so far.
        assert_eq!(ready().await, 200);
        app.set_retired(false);
        assert_eq!(ready().await, 503);
        app.generation(1).stands(Stand { ready: 1, ..Stand::default() });
        assert_eq!(ready().await, 200);
        metrics(&teller).set_stopping();
        assert_eq!(ready().await, 503);
    }

    #[tokio::test]
    async fn without_an_answer_of_the_gateway_the_rest_is_told() {
        let teller = teller("127.0.0.1:9100");
        let response = get(&teller, Method::GET, "/status.json").await;
        assert_eq!(response.status(), StatusCode::OK);
        let text = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&text.to_bytes()).unwrap();
        assert_eq!((&told["answered_us"], told.get("apps")), (&serde_json::Value::Null, None));
        assert!(told["started_ms"].as_u64() <= told["now_ms"].as_u64());
        for query in ["frames", "frames=", "frames=x", "frames=-1", "x=1"] {
            let asked = get(&teller, Method::GET, &format!("/status.json?{query}")).await;
            assert_eq!(asked.status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }
}
