//! The collector, over HTTP. Of what it answers, nothing is read but the status and
//! Retry-After.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::otlp::Otlp;

/// The longest head of an answer, in bytes, and the longest body for whose end a
/// connection is worth waiting.
const HEAD: usize = 16 * 1024;
const BODY: usize = 16 * 1024;

/// A collector, and the connection to it if there is one.
#[derive(Debug)]
pub(super) struct Collector {
    host: String,
    port: u16,
    path: String,
    headers: HeaderMap,
    /// How long it may take.
    patience: Duration,
    kept: Option<SendRequest<Full<Bytes>>>,
}

/// Why it has not taken what it was sent.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the log.
    pub(super) why: String,
    /// Whether it may take it later.
    pub(super) passes: bool,
    /// When, if it says so.
    pub(super) after: Option<Duration>,
}

impl Failure {
    /// One that will pass, perhaps.
    fn passing(why: impl ToString) -> Self {
        Self { why: why.to_string(), passes: true, after: None }
    }
}

impl Collector {
    /// No connection is made yet.
    pub(super) fn new(config: &Otlp) -> Self {
        let Otlp { host, port, path, .. } = config;
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut headers = HeaderMap::new();
        let own = [
            (HOST, format!("{bracketed}:{port}")),
            (USER_AGENT, concat!("flupd/", env!("CARGO_PKG_VERSION")).to_owned()),
            (CONTENT_TYPE, "application/x-protobuf".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_string(), value));
        // The administrator's go before ours.
        for (name, value) in own.chain(config.headers.iter().cloned()) {
            // They were checked with the configuration.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
            {
                headers.insert(name, value);
            }
        }
        Self {
            host: host.clone(),
            port: *port,
            path: path.clone(),
            headers,
            patience: config.timeout,
            kept: None,
        }
    }

    /// For the log.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Sends a message; the answer is waited for, not for ever.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<(), Failure> {
        let patience = self.patience;
        match timeout(patience, self.exchange(body)).await {
            Ok(Ok(response)) => judge(&response),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::passing(format!("no answer in {} s", patience.as_secs_f64()))),
        }
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Response<()>, Failure> {
        // It is lost if what follows fails or takes too long.
        if let Some(mut kept) = self.kept.take()
            && kept.ready().await.is_ok()
            && let Ok(response) = kept.send_request(self.request(body.clone())?).await
        {
            return Ok(self.read(kept, response).await);
        }
        // The collector may have closed it just then: that is nobody's failure.
        let mut fresh = self.connect().await?;
        let response = fresh.send_request(self.request(body)?).await.map_err(Failure::passing)?;
        Ok(self.read(fresh, response).await)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream =
            TcpStream::connect((&*self.host, self.port)).await.map_err(Failure::passing)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::passing)?;
        tokio::spawn(async move {
            // Whoever sends hears of it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::post(&*self.path)
            .body(Full::new(body))
            .map_err(|error| Failure { passes: false, ..Failure::passing(error) })?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// Reads away the body, and keeps the connection if that goes well.
    async fn read(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
    ) -> Response<()> {
        let (head, body) = response.into_parts();
        if Limited::new(body, BODY).collect().await.is_ok() {
            self.kept = Some(sender);
        }
        Response::from_parts(head, ())
    }
}

/// What an answer means (OTLP 1.x, "OTLP/HTTP Response").
fn judge(response: &Response<()>) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
    Err(Failure {
        why: format!("it answers {}", status.as_u16()),
        passes,
        after: after.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, after: Option<&str>) -> Result<(), (bool, Option<Duration>)> {
        let mut response = Response::builder().status(status);
        if let Some(after) = after {
            response = response.header(RETRY_AFTER, after);
        }
        judge(&response.body(()).unwrap()).map_err(|failure| (failure.passes, failure.after))
    }

    #[test]
    fn a_status_says_whether_it_is_worth_another_try() {
        assert_eq!((answer(200, None), answer(202, None)), (Ok(()), Ok(())));
        for status in [400, 401, 404, 413, 500, 501, 301] {
            assert_eq!(answer(status, None), Err((false, None)), "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert_eq!(answer(status, None), Err((true, None)), "{status}");
        }
        assert_eq!(answer(429, Some("7")), Err((true, Some(Duration::from_secs(7)))));
        assert_eq!(answer(503, Some("Fri, 20 Nov 2026 12:00:00 GMT")), Err((true, None)));
    }
}
