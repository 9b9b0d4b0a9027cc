//! Questions of other threads to the gateway's: what runs?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::admission::Admission;
use super::app::App;
use super::reading::Reading;
use super::snapshot::snapshot;
use crate::config::AppId;
use crate::observe::snapshot::Snapshot;

/// How long the gateway's thread may take to answer. It takes long only if the
/// machine is out of processors, or a thread is asked for its frames that the
/// kernel holds.
const PATIENCE: Duration = Duration::from_millis(95);

/// How many questions wait at most.
const QUESTIONS: usize = 32;

/// The apps of the gateway.
pub(super) type Apps = Rc<RefCell<BTreeMap<AppId, Rc<App>>>>;

/// Asks the gateway's thread, from another one.
#[derive(Debug, Clone)]
pub(super) struct Asks(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    frames: Option<Duration>,
    answer: oneshot::Sender<Snapshot>,
}

impl Asks {
    /// What runs; with the frames of the requests that have run for so long. `None`
    /// if the gateway's thread has no time to say so now.
    pub(super) async fn snapshot(&self, frames: Option<Duration>) -> Option<Snapshot> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Question { frames, answer }).ok()?;
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }
}

/// Nobody answers.
#[cfg(test)]
pub(super) fn nobody() -> Asks {
    Asks(mpsc::channel(1).0)
}

/// Answers on this thread, in a task of its own, until nobody can ask any more.
pub(super) fn answer(apps: &Apps, admission: &Rc<Admission>, reading: &Rc<Reading>) -> Asks {
    let (asks, mut questions) = mpsc::channel::<Question>(QUESTIONS);
    let (apps, admission, reading) = (Rc::clone(apps), Rc::clone(admission), Rc::clone(reading));
    tokio::task::spawn_local(async move {
        while let Some(Question { frames, mut answer }) = questions.recv().await {
            let pools: Vec<_> = apps.borrow().values().flat_map(|app| app.pools()).collect();
            let (connections, reading) = (admission.open(), Rc::clone(&reading));
            tokio::task::spawn_local(async move {
                tokio::select! {
                    snapshot = snapshot(connections, &reading, &pools, frames) => {
                        // Who has lost patience has gone.
                        let _ = answer.send(snapshot);
                    }
                    () = answer.closed() => {}
                }
            });
        }
    });
    Asks(asks)
}
