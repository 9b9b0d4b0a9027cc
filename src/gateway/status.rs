//! The status listener: what the gateway counts and does, over HTTP, for monitoring,
//! load balancers and people.
//!
//! It has a thread of its own and reads atomics, so it answers while the gateway's
//! thread and all workers are busy. What only the gateway's thread knows, it asks,
//! and does not wait for long. It changes nothing.

mod answers;
mod host;
mod source;

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::AddressFamily;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, error};

use self::answers::Teller;
use self::host::Host;
pub(super) use self::source::Source;
use super::admit::Admit;
use super::park;
use crate::config::{Allow, ListenerConfig};
use crate::observe::metrics::history::History;

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
        source: Source,
    ) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let address = listener.address.clone();
        let (rules, told) = watch::channel(listener.allow.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = address.clone();
        let (history, host) = (History::default(), Host::of(&address));
        let teller = Arc::new(Teller { source, history, host });
        thread::Builder::new().name("flupd-status".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(socket, &name, told, teller)) {
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
    teller: Arc<Teller>,
) -> io::Result<()> {
    let socket = match rustix::net::getsockname(&socket)?.address_family() {
        AddressFamily::UNIX => Socket::Unix(UnixListener::from_std(socket.into())?),
        _ => Socket::Tcp(TcpListener::from_std(socket.into())?),
    };
    let remembers = Arc::clone(&teller);
    tokio::spawn(async move { remembers.remember().await });
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
            accepted = accept(&socket, &admit, address, place, &teller) => {
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
    teller: &Arc<Teller>,
) -> io::Result<()> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // The clock of refusals is that of the gateway's turns.
            park::forget_time();
            if admit.tcp(Some(peer.ip()), address) {
                tokio::spawn(answer(stream, place, Arc::clone(teller)));
            }
        }
        Socket::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            park::forget_time();
            if admit.unix(&stream, address) {
                tokio::spawn(answer(stream, place, Arc::clone(teller)));
            }
        }
    }
    Ok(())
}

/// Answers one request.
async fn answer<S>(stream: S, place: OwnedSemaphorePermit, teller: Arc<Teller>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        let teller = Arc::clone(&teller);
        async move {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            Ok::<_, Infallible>(teller.answer(method, uri, headers).await)
        }
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
