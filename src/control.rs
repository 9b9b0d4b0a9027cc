//! What supervisor and gateway say to each other, as JSON messages with
//! descriptors over a packet socket.
//!
//! The supervisor commands, the gateway reports. Neither carries a byte of a
//! request.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use flupd_channel::packet;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::config::{AppId, GatewayApp, GatewayConfig, GroupId, ProbeRequest, Share, Workers};
use crate::observe::figures::Figures;
use crate::observe::log::LogLevel;
use crate::observe::snapshot::Snapshot;

/// What the supervisor tells the gateway.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGateway {
    /// The first message. The listening sockets travel with it, in the order of
    /// [`GatewayConfig::listeners`], and after them the bell that workers ring.
    Configure(GatewayConfig),
    /// The first message to a gateway beside solo workers: it has no app, and tells
    /// the status. The listening sockets travel with it, in their order, and after them
    /// that of the log.
    TellStatus(GatewayConfig),
    /// The answer to [`FromGateway::Ask`], which stands as JSON in the file that travels
    /// with it.
    Answer {
        /// The number of the question.
        question: u64,
    },
    /// From now on this holds: other generations of apps take the requests, and
    /// those before them finish what they have begun. The sockets of listeners
    /// that were not there travel with it, in their order.
    Reconfigure(GatewayConfig),
    /// An app that was not there before, which is about to get workers. No request
    /// is its own before [`ToGateway::Reconfigure`].
    AppAdded {
        /// The app.
        app: AppId,
        /// Its configuration.
        config: Box<GatewayApp>,
    },
    /// A worker process runs. The gateway's ends of its channel travel with it.
    /// It takes no request before it is ready.
    WorkerStarted {
        /// The generation of the app that it runs.
        group: GroupId,
        /// Its number, unique in the life of the supervisor.
        worker: u64,
        /// Its process id.
        pid: u32,
        /// Whether it says where its threads are: the ends of a
        /// [`probe`](flupd_channel::probe) are the last that travel.
        probed: bool,
    },
    /// The worker has imported the app.
    WorkerReady {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
    },
    /// Have the worker, which takes no requests yet, answer this one:
    /// [`FromGateway::WorkerProved`].
    ProveWorker {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
        /// What it is asked.
        probe: ProbeRequest,
    },
    /// These generations, whose workers are ready, get a share of the requests
    /// beside those that serve: [`FromGateway::Canary`] tells how both do.
    CanaryBegins {
        /// Each with its share.
        groups: Vec<(GroupId, Share)>,
    },
    /// They get none any more, and their workers leave.
    CanaryEnds,
    /// The worker process has ended.
    WorkerExited {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
        /// How it ended, in words: `killed by signal 11 (SIGSEGV)`.
        cause: String,
        /// Whether it was told to go.
        expected: bool,
    },
    /// No worker runs, and the app can't be imported: refuse its requests at once
    /// until a worker is ready.
    AppUnavailable {
        /// The generation of the app.
        group: GroupId,
    },
    /// No worker runs, and none is needed: keep the requests that come, and tell of
    /// them ([`FromGateway::Load`]).
    AppSleeps {
        /// The generation of the app.
        group: GroupId,
    },
    /// There may be so many workers.
    Workers {
        /// The generation of the app.
        group: GroupId,
        /// How many.
        workers: Workers,
    },
    /// Give the worker no more requests; close its ports when its running ones
    /// are done.
    WorkerDrain {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
    },
    /// Say what runs: [`FromGateway::Told`].
    Tell {
        /// The number of the question.
        question: u64,
        /// With the Python frames of each request.
        frames: bool,
    },
    /// Log from this level on.
    LogLevel(LogLevel),
    /// Say that you are there: [`FromGateway::Pong`].
    Ping,
    /// Serve the connections as well that another gateway passes on, over the packet
    /// socket that travels with it.
    Inherit,
    /// Pass connections on over the packet socket that travels with it, instead of
    /// closing them. [`ToGateway::Stop`] follows.
    Bequeath,
    /// Accept no more, finish what was begun, then exit.
    Stop,
}

/// What the gateway tells the supervisor.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGateway {
    /// It accepts connections.
    Listening,
    /// It accepts no connections any more.
    Closed,
    /// The answer to [`ToGateway::Ping`], by the thread that serves connections.
    Pong,
    /// What the last [`ToGateway::Reconfigure`] says holds: requests that come from
    /// now on are the new generations'.
    Reconfigured,
    /// It is asked for the status: [`ToGateway::Answer`].
    Ask {
        /// The number of the question.
        question: u64,
        /// What is asked.
        what: StatusQuestion,
    },
    /// The answer to [`ToGateway::Tell`].
    Told {
        /// The number of the question.
        question: u64,
        /// What runs.
        snapshot: Box<Snapshot>,
    },
    /// How the two generations of an app do since [`ToGateway::CanaryBegins`]; said
    /// again and again, of one app after the other in their order.
    Canary {
        /// The app.
        app: AppId,
        /// The generation that serves.
        old: Figures,
        /// The new one.
        new: Figures,
    },
    /// What came of [`ToGateway::ProveWorker`].
    WorkerProved {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
        /// Why its answer will not do, if that is so.
        failure: Option<String>,
    },
    /// How many requests a generation has whose workers come and go. It is told when
    /// that changes, a few times a second at most; at once when requests come that
    /// find no worker.
    Load {
        /// Its app and generation.
        group: GroupId,
        /// How many.
        load: Load,
    },
    /// A worker broke the channel protocol: it must be ended.
    WorkerBroken {
        /// What it runs.
        group: GroupId,
        /// Its number.
        worker: u64,
        /// Which rule it broke.
        reason: String,
    },
    /// A request in this worker does not end: another shall take its place, and
    /// once that is ready it gets no more requests.
    WorkerWorn {
        /// Its app and generation.
        group: GroupId,
        /// Its number.
        worker: u64,
    },
    /// The worker has run as many requests as it may: another shall take its place
    /// when it is its turn.
    WorkerServed {
        /// Its app and generation.
        group: GroupId,
        /// Its number.
        worker: u64,
    },
    /// Nothing that this worker still does will end: it must be killed.
    WorkerSpent {
        /// Its app and generation.
        group: GroupId,
        /// Its number.
        worker: u64,
    },
}

/// What is asked by a gateway that tells the status of solo workers. It is no text of a
/// client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusQuestion {
    /// The text that Prometheus reads.
    Metrics {
        /// With the proportional memory of the workers.
        proportional: bool,
    },
    /// A [`Report`](crate::observe::report::Report) without its history.
    Report {
        /// With the frames of requests that have run for so many milliseconds.
        frames_ms: Option<u64>,
    },
    /// A [`Sample`](crate::observe::metrics::history::Sample).
    Sample,
    /// Why requests should go elsewhere, if they should.
    Unready,
}

/// What an app has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// How many requests at a time run or wait, on average since the last time, in
    /// thousandths.
    pub requests_milli: u64,
    /// The worker without requests that has had none for longest.
    pub idlest: Option<u64>,
}

/// How long one message may wait for room in the other side's socket.
const PATIENCE: Duration = Duration::from_secs(5);

/// One end of the control socket.
#[derive(Debug)]
pub struct Control {
    socket: PacketSocket,
}

impl Control {
    /// Takes over one end of a [`packet::pair`]. Needs a running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when the socket can't be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::new(socket)? })
    }

    /// Sends one message with its descriptors.
    ///
    /// # Errors
    /// `BrokenPipe` when the other side has gone, `TimedOut` when it does not
    /// read.
    pub async fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        tokio::time::timeout(PATIENCE, self.socket.send(&text, fds)).await?
    }

    /// Waits for the next message; `None` when the other side has gone. May be
    /// dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// `InvalidData` for a message that is not of type `M`; otherwise what the
    /// operating system reports.
    pub async fn receive<M: for<'de> Deserialize<'de>>(
        &self,
    ) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let Some((text, fds)) = self.socket.receive().await? else { return Ok(None) };
        Ok(Some((serde_json::from_slice(&text)?, fds)))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One message and the descriptors that came with it.
pub type Packet = (Vec<u8>, Vec<OwnedFd>);

/// One end of a [`packet::pair`] in the runtime.
#[derive(Debug)]
pub struct PacketSocket {
    /// Only what it knows of readiness is used: the socket keeps packets apart.
    socket: UnixStream,
}

impl PacketSocket {
    /// Takes over one end. Needs a running tokio runtime.
    ///
    /// # Errors
    /// What the operating system reports when the socket can't be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixStream::from_std(socket)? })
    }

    /// Waits until the socket takes a message with its descriptors.
    ///
    /// # Errors
    /// As [`packet::send`].
    pub async fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = || packet::send(self.socket.as_fd(), message, fds);
        self.socket.async_io(Interest::WRITABLE, send).await
    }

    /// Waits for the next message; `None` when the other side has gone. May be
    /// dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// As [`packet::receive`].
    pub async fn receive(&self) -> io::Result<Option<Packet>> {
        self.socket.async_io(Interest::READABLE, || packet::receive(self.socket.as_fd())).await
    }

    /// Ends it for both sides, also where others have it open.
    pub fn close(&self) {
        // The other side may have done so already.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// The message that has already arrived.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, otherwise as [`packet::receive`].
    pub fn try_receive(&self) -> io::Result<Option<Packet>> {
        packet::receive(self.socket.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_and_its_descriptor_arrive_and_the_end_is_seen() {
        let (a, b) = packet::pair().unwrap();
        let (a, b) = (Control::new(a).unwrap(), Control::new(b).unwrap());
        let (reader, _writer) = io::pipe().unwrap();
        let started = || ToGateway::WorkerStarted {
            group: GroupId::first(AppId(1)),
            worker: 7,
            pid: 9,
            probed: true,
        };
        a.send(&started(), &[reader.as_fd()]).await.unwrap();
        a.send(&ToGateway::Stop, &[]).await.unwrap();
        drop(a);
        let (message, fds) = b.receive::<ToGateway>().await.unwrap().unwrap();
        assert_eq!(message, started());
        assert_eq!(fds.len(), 1);
        assert_eq!(b.receive::<ToGateway>().await.unwrap().unwrap().0, ToGateway::Stop);
        assert!(b.receive::<ToGateway>().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let (a, b) = packet::pair().unwrap();
        packet::send(&a, b"{\"Listening\":3}", &[]).unwrap();
        let b = Control::new(b).unwrap();
        let error = b.receive::<FromGateway>().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
