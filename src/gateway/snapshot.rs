//! What runs at this moment, put together for those who ask.

use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use super::pool::Pool;
use super::reading::Reading;
use crate::observe::snapshot::{MAX_FRAMES, MAX_REQUESTS, Snapshot};

/// How long a thread may take to say where it is.
const PATIENCE: Duration = Duration::from_millis(80);

/// What runs in these pools, and what arrives. The frames are asked for at once, of
/// the requests that have run for so long.
pub(super) async fn snapshot(
    connections: usize,
    reading: &Reading,
    pools: &[Rc<Pool>],
    frames: Option<Duration>,
) -> Snapshot {
    let apps = pools.iter().map(|pool| pool.snapshot()).collect();
    let mut running: Vec<_> = pools.iter().flat_map(|pool| pool.running()).collect();
    running.sort_by_key(|running| Reverse(running.age()));
    let mut waiting: Vec<_> = pools.iter().flat_map(|pool| pool.waiting(MAX_REQUESTS)).collect();
    waiting.sort_by_key(|request| Reverse(request.age_ms));
    waiting.truncate(MAX_REQUESTS);
    let arriving = reading.oldest(MAX_REQUESTS);
    let all = running.len() + pools.iter().map(|pool| pool.count_waiting()).sum::<usize>();
    let (all, reading) = (all + reading.len(), reading.len());

    running.truncate(MAX_REQUESTS);
    let asked = running.into_iter().map(|running| {
        let wanted = frames.is_some_and(|least| running.age() >= least);
        let patience = wanted.then_some(PATIENCE);
        tokio::task::spawn_local(async move { running.told(patience).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut requests = Vec::new();
    let mut text = 0;
    for task in asked {
        let Ok(mut request) = task.await else { continue };
        if let Some(frames) = &mut request.frames {
            frames.retain(|frame| {
                text += frame.len();
                text <= MAX_FRAMES
            });
        }
        requests.push(request);
    }
    requests.extend(waiting);
    requests.extend(arriving);
    let more = all.saturating_sub(requests.len());
    Snapshot { connections, reading, apps, requests, more }
}
