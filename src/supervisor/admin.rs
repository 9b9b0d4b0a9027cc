//! The control socket: takes an administrator's orders, and says what came of
//! them. Who may open it may command flupd: that is all there is of rights.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::unix_socket::{SocketPath, listen_at};
use super::upgrade::Made;
use crate::admin::{Asked, MAX_ORDER, Order, Outcome, VERSION};
use crate::config::ControlSocket;

/// How many may wait for the outcome of their orders; others wait to be heard.
const CONNECTIONS: usize = 32;

/// How long an order may take to arrive, or an outcome to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An order, and who waits for what comes of it.
pub(super) type Ordered = (Order, oneshot::Sender<Outcome>);

/// The control socket, on which nobody is heard yet. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct ControlListener {
    socket: OwnedFd,
    path: SocketPath,
}

impl ControlListener {
    /// Makes it at the configured place.
    ///
    /// # Errors
    /// When that can't be done; the message is for the administrator.
    pub(super) fn open(config: &ControlSocket) -> anyhow::Result<Self> {
        let path = &config.path;
        let shown = || format!("can't listen on the control socket {}", path.display());
        let (socket, path) = listen_at(path, &config.socket).with_context(shown)?;
        Ok(Self { socket, path })
    }

    /// Another flupd has made it, and keeps it until [`ControlListener::own`].
    pub(super) fn offered(socket: OwnedFd, made: Made) -> Self {
        Self { socket, path: SocketPath::offered(made) }
    }

    /// Whether it is where this one shall be.
    pub(super) fn is(&self, config: &ControlSocket) -> bool {
        self.path.is(&config.path)
    }

    /// It is ours from now on.
    pub(super) fn own(&self) {
        self.path.own(true);
    }
}

/// Those who give orders. Dropped, it removes the control socket.
#[derive(Debug)]
pub(super) struct Admin {
    orders: mpsc::Receiver<Ordered>,
    listener: Option<(ControlListener, JoinHandle<()>)>,
    retired: bool,
}

impl Admin {
    /// Nobody can give orders.
    pub(super) fn none() -> Self {
        let (sender, orders) = mpsc::channel(1);
        drop(sender);
        Self { orders, listener: None, retired: false }
    }

    /// Hears those who connect to this socket.
    ///
    /// # Errors
    /// What the operating system reports when it can't be watched.
    pub(super) fn serve(listener: ControlListener) -> io::Result<Self> {
        let socket = StdListener::from(listener.socket.try_clone()?);
        socket.set_nonblocking(true)?;
        let socket = UnixListener::from_std(socket)?;
        listener.own();
        let (sender, orders) = mpsc::channel(CONNECTIONS);
        let task = tokio::spawn(accept(socket, sender));
        Ok(Self { orders, listener: Some((listener, task)), retired: false })
    }

    /// The socket, for the flupd that comes next.
    pub(super) fn offer(&self) -> Option<(Made, &OwnedFd)> {
        let (listener, _) = self.listener.as_ref()?;
        Some((listener.path.made(), &listener.socket))
    }

    /// Another flupd is asked from now on. What was ordered here is still answered.
    pub(super) fn retire(&mut self) {
        self.retired = true;
        if let Some((listener, task)) = self.listener.take() {
            listener.path.own(false);
            task.abort();
        }
    }

    /// Whether another flupd is asked.
    pub(super) const fn is_retired(&self) -> bool {
        self.retired
    }

    /// Waits for the next order.
    pub(super) async fn next(&mut self) -> Ordered {
        match self.orders.recv().await {
            Some(ordered) => ordered,
            None => std::future::pending().await,
        }
    }
}

async fn accept(socket: UnixListener, orders: mpsc::Sender<Ordered>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match socket.accept().await {
            Ok((stream, _)) => {
                let orders = orders.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, orders).await {
                        tracing::debug!(%error, "an order was not taken");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "accept failed on the control socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes one order and says what came of it. No answer is one, too: it ends with
/// the process.
async fn answer(mut stream: UnixStream, orders: mpsc::Sender<Ordered>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_ORDER as u64));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let outcome = match understand(&line) {
        Ok(order) => {
            let (sender, outcome) = oneshot::channel();
            let _ = orders.send((order, sender)).await;
            match outcome.await {
                Ok(outcome) => outcome,
                Err(_) => return Ok(()),
            }
        }
        Err(why) => Outcome::Failed(why),
    };
    let mut line = serde_json::to_vec(&outcome)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await?
}

fn understand(line: &[u8]) -> Result<Order, String> {
    let said: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| format!("this is no order: {error}"))?;
    let version = said.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        let why = "the flupd that runs is of another version than the one that asks it; restart it";
        return Err(why.to_owned());
    }
    let asked: Result<Asked, _> = serde_json::from_value(said);
    asked.map(|asked| asked.order).map_err(|error| format!("this is no order: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_understood_and_others_refused() {
        assert_eq!(understand(br#"{"version":1,"order":"stop"}"#), Ok(Order::Stop));
        let reload = understand(br#"{"version":1,"order":{"reload":{"app":"shop"}}}"#);
        assert_eq!(reload, Ok(Order::Reload { app: Some("shop".to_owned()), canary: None }));
        for (wrong, why) in [
            (&b"stop"[..], "this is no order"),
            (br#"{"version":2,"order":"stop"}"#, "another version"),
            (br#"{"version":1,"order":"dance"}"#, "this is no order"),
            (b"", "this is no order"),
        ] {
            let error = understand(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
