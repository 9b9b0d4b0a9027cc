//! The status listener: what the gateway counts, over HTTP, for monitoring and
//! load balancers.
//!
//! It has a thread of its own and reads nothing but atomics, so it answers while
//! the gateway's thread and all workers are busy. It changes nothing.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::AddressFamily;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, error};

use super::admit::Admit;
use super::park;
use crate::config::{Allow, ListenerConfig};
use crate::observe::metrics::Metrics;

/// How many are answered at once; more wait in the kernel.
const CONNECTIONS: usize = 32;

/// The longest request, in bytes, and how many headers it has.
const REQUEST: usize = 16 * 1024;
const HEADERS: usize = 64;

/// How long one may take to send its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection lasts at most: each has one request.
const LIFE: Duration = Duration::from_secs(15);

/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The format of Prometheus' text.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// One address at which the status is told, until this is dropped.
#[derive(Debug)]
pub(super) struct StatusListener {
    pub(super) address: String,
    rules: watch::Sender<Vec<Allow>>,
}

/// A listening socket of either family.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl StatusListener {
    /// Begins to answer on this socket.
    ///
    /// # Errors
    /// What the operating system reports: no such socket, or no more threads.
    pub(super) fn start(
        socket: OwnedFd,
        listener: &ListenerConfig,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let address = listener.address.clone();
        let (rules, told) = watch::channel(listener.allow.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = address.clone();
        thread::Builder::new().name("flupd-status".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(socket, &name, told, metrics)) {
                error!(address = name, %error, "the status listener can't be watched");
            }
        })?;
        Ok(Self { address, rules })
    }

    /// Who may connect from now on.
    pub(super) fn reconfigure(&self, listener: &ListenerConfig) {
        self.rules.send_replace(listener.allow.clone());
    }
}

/// Answers until the other end of `rules` is dropped.
async fn serve(
    socket: OwnedFd,
    address: &str,
    mut rules: watch::Receiver<Vec<Allow>>,
    metrics: Arc<Metrics>,
) -> io::Result<()> {
    let socket = match rustix::net::getsockname(&socket)?.address_family() {
        AddressFamily::UNIX => Socket::Unix(UnixListener::from_std(socket.into())?),
        _ => Socket::Tcp(TcpListener::from_std(socket.into())?),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut admit = Admit::new(&rules.borrow_and_update());
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        tokio::select! {
            changed = rules.changed() => match changed {
                Ok(()) => admit = Admit::new(&rules.borrow_and_update()),
                Err(_) => return Ok(()),
            },
            accepted = accept(&socket, &admit, address, place, &metrics) => {
                if let Err(error) = accepted {
                    debug!(address, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Takes the next connection, which is then answered by a task.
async fn accept(
    socket: &Socket,
    admit: &Admit,
    address: &str,
    place: OwnedSemaphorePermit,
    metrics: &Arc<Metrics>,
) -> io::Result<()> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // The clock of refusals is that of the gateway's turns.
            park::forget_time();
            if admit.tcp(Some(peer.ip()), address) {
                tokio::spawn(answer(stream, place, Arc::clone(metrics)));
            }
        }
        Socket::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            park::forget_time();
            if admit.unix(&stream, address) {
                tokio::spawn(answer(stream, place, Arc::clone(metrics)));
            }
        }
    }
    Ok(())
}

/// Answers one request.
async fn answer<S>(stream: S, place: OwnedSemaphorePermit, metrics: Arc<Metrics>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri(), &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(REQUEST)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LIFE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for the status failed"),
        Err(_) => debug!("a request for the status took too long"),
    }
    drop(place);
}

/// What is told at a path.
fn respond(method: &Method, uri: &Uri, metrics: &Metrics) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".into());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match uri.path() {
        "/metrics" => text(StatusCode::OK, METRICS, metrics.to_text(uri.query() == Some("pss"))),
        "/healthz" => text(StatusCode::OK, PLAIN, "alive\n".into()),
        "/readyz" => match metrics.unready() {
            None => text(StatusCode::OK, PLAIN, "ready\n".into()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, PLAIN, "here are /metrics, /healthz, /readyz\n".into()),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Stand;

    #[test]
    fn nothing_but_get_is_answered() {
        let metrics = Metrics::default();
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let response = respond(&method, &Uri::from_static("/metrics"), &metrics);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
        assert_eq!(
            respond(&Method::HEAD, &Uri::from_static("/metrics"), &metrics).status(),
            StatusCode::OK
        );
        assert_eq!(
            respond(&Method::GET, &Uri::from_static("/metricsx"), &metrics).status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn readiness_follows_the_workers() {
        let metrics = Metrics::default();
        let ready =
            || respond(&Method::GET, &Uri::from_static("/readyz"), &metrics).status().as_u16();
        let app = metrics.app(crate::config::AppId(0), None);
        // It is only tried so far.
        assert_eq!(ready(), 200);
        app.set_retired(false);
        assert_eq!(ready(), 503);
        app.generation(1).stands(Stand { ready: 1, ..Stand::default() });
        assert_eq!(ready(), 200);
        metrics.set_stopping();
        assert_eq!(ready(), 503);
    }
}
