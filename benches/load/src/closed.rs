//! The closed loop: each client asks again when it has its answer.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{Client, Target};
use crate::latencies::{Latencies, Outcome};
use crate::wait;

/// How long requests that were sent in time may take to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs so many clients for `time`.
///
/// # Errors
/// When the server can't be reached, or gives an answer that is not a 2xx.
pub fn run(target: &Target, request: &[u8], clients: usize, time: Duration) -> Result<Outcome> {
    let mut clients: Vec<_> = (0..clients).map(|_| Client::new(target)).collect();
    let mut buffer = vec![0; 256 * 1024];
    let mut latencies = Latencies::default();
    let begun = Instant::now();
    let end = begun + time;
    for client in &mut clients {
        client.ask(request, begun)?;
    }
    let mut requests = 0;
    loop {
        let now = Instant::now();
        if now > end + PATIENCE
            || (now > end && clients.iter().all(|client| client.due().is_none()))
        {
            break;
        }
        for at in wait::ready(&clients, end.max(now + Duration::from_millis(100)))? {
            let Some(due) = clients[at].advance(&mut buffer)? else { continue };
            let now = Instant::now();
            latencies.add(now - due);
            if now < end {
                requests += 1;
                clients[at].ask(request, now)?;
            }
        }
    }
    let waiting: Vec<_> = clients.iter().filter_map(Client::due).collect();
    waiting.iter().for_each(|due| latencies.add(due.elapsed()));
    Ok(latencies.outcome(requests, time, waiting.len()))
}
