//! A gateway beside solo workers, which serve connections themselves: it has no app and
//! only tells the status, of which the supervisor knows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::start_log;
use super::status::{Source, StatusListener};
use crate::config::GatewayConfig;
use crate::control::{Control, FromGateway, StatusQuestion, ToGateway};
use crate::observe::log;

/// How long the supervisor may take to answer: it takes long only if the machine is out
/// of processors.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many questions wait at most.
const QUESTIONS: usize = 64;

/// Asks the supervisor, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Supervisor(mpsc::Sender<Question>);

type Question = (StatusQuestion, oneshot::Sender<Vec<u8>>);

impl Supervisor {
    /// What it answers; `None` if it does not in time.
    pub(super) async fn ask<T: DeserializeOwned>(&self, question: StatusQuestion) -> Option<T> {
        let (waits, answer) = oneshot::channel();
        self.0.try_send((question, waits)).ok()?;
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()?;
        serde_json::from_slice(&answer).ok()
    }
}

/// Tells the status until the supervisor wants that no more, or has gone. `fds` are the
/// sockets of the listeners, and that of the log.
///
/// # Errors
/// When that can't be done; the message is for the administrator.
pub(super) async fn serve(
    control: &Control,
    config: GatewayConfig,
    mut fds: Vec<OwnedFd>,
) -> anyhow::Result<()> {
    start_log(&config, &mut fds)?;
    let (asks, mut questions) = mpsc::channel(QUESTIONS);
    let supervisor = Supervisor(asks);
    let mut status = configure(&config, fds, Vec::new(), &supervisor)?;
    let (mut waiting, mut last) = (BTreeMap::<u64, oneshot::Sender<Vec<u8>>>::new(), 0);
    loop {
        tokio::select! {
            told = control.receive() => match told.context("the control socket failed")? {
                None | Some((ToGateway::Stop, _)) => return Ok(()),
                Some((ToGateway::Reconfigure(config), fds)) => {
                    status = configure(&config, fds, status, &supervisor)?;
                }
                Some((ToGateway::LogLevel(level), _)) => log::set_level(level),
                Some((ToGateway::Answer { question }, fds)) => {
                    let mut answer = Vec::new();
                    let file = fds.into_iter().next().context("an answer did not come")?;
                    File::from(file).read_to_end(&mut answer).context("an answer can't be read")?;
                    if let Some(waits) = waiting.remove(&question) {
                        // Who has lost patience has gone.
                        let _ = waits.send(answer);
                    }
                }
                Some((other, _)) => tracing::debug!(?other, "this is for a gateway with apps"),
            },
            Some((what, waits)) = questions.recv() => {
                last += 1;
                waiting.retain(|_, waits| !waits.is_closed());
                waiting.insert(last, waits);
                let question = FromGateway::Ask { question: last, what };
                control.send(&question, &[]).await.context("the supervisor is gone")?;
            }
        }
    }
}

/// The listeners of this configuration; `sockets` are of those that are not there
/// `before`, in their order.
fn configure(
    config: &GatewayConfig,
    sockets: Vec<OwnedFd>,
    mut before: Vec<StatusListener>,
    supervisor: &Supervisor,
) -> anyhow::Result<Vec<StatusListener>> {
    let (mut sockets, mut now) = (sockets.into_iter(), Vec::new());
    for listener in &config.listeners {
        let address = &listener.address;
        now.push(match before.iter().position(|open| open.address == *address) {
            Some(at) => {
                let open = before.swap_remove(at);
                open.reconfigure(listener);
                open
            }
            None => {
                let socket = sockets.next().with_context(|| format!("no socket for {address}"))?;
                let source = Source::Aside(supervisor.clone());
                StatusListener::start(socket, listener, source)
                    .with_context(|| format!("can't tell the status on {address}"))?
            }
        });
    }
    Ok(now)
}
