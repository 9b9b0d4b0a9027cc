//! Waits for clients that can go on.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use crate::client::Client;

/// How soon a client that found the backlog full tries again.
const RETRY: Duration = Duration::from_millis(1);

/// The places of all clients that can go on, waiting for the first until
/// `until`, to the nanosecond.
///
/// # Errors
/// What `ppoll(2)` reports.
pub fn ready(clients: &[Client<'_>], until: Instant) -> Result<Vec<usize>, Errno> {
    let mut places = Vec::with_capacity(clients.len());
    let mut fds = Vec::with_capacity(clients.len());
    let mut unconnected = Vec::new();
    for (place, client) in clients.iter().enumerate() {
        match client.interest() {
            Some((socket, flags)) => {
                places.push(place);
                fds.push(PollFd::from_borrowed_fd(socket, flags));
            }
            None if client.due().is_some() => unconnected.push(place),
            None => {}
        }
    }
    let mut time = until.saturating_duration_since(Instant::now());
    if !unconnected.is_empty() {
        time = time.min(RETRY);
    }
    let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    let awake = places.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(awake.map(|(place, _)| place).chain(unconnected).collect())
}
