//! Connections that take up room and do no work.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::client::{Client, Target};
use crate::wait;

/// How long it may take to connect, or to get the first answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that never send a byte.
///
/// # Errors
/// When they can't be made.
pub fn silent(target: &Target, count: usize) -> Result<Vec<OwnedFd>> {
    (0..count).map(|_| connect(target)).collect()
}

/// Connections that sent the first half of a request.
///
/// # Errors
/// As [`silent`].
pub fn stalled(target: &Target, count: usize, request: &[u8]) -> Result<Vec<OwnedFd>> {
    let half = &request[..request.len() / 2];
    let sockets = silent(target, count)?;
    for socket in &sockets {
        send(socket, half, SendFlags::NOSIGNAL)?;
    }
    Ok(sockets)
}

/// Connections that had an answer and wait for their next request. Where the
/// server closes after each answer, it closes these too.
///
/// # Errors
/// When one of them gets no answer.
pub fn idle(target: &Target, count: usize, request: &[u8]) -> Result<Vec<OwnedFd>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = [Client::new(target)];
        let begun = Instant::now();
        client[0].ask(request, begun)?;
        let mut answered = false;
        while !answered && begun.elapsed() < PATIENCE {
            for at in wait::ready(&client, begun + PATIENCE)? {
                answered = client[at].advance(&mut buffer)?.is_some();
            }
        }
        anyhow::ensure!(answered, "no answer on a connection that was to stay idle");
        let [client] = client;
        sockets.extend(client.into_socket());
    }
    Ok(sockets)
}

fn connect(target: &Target) -> Result<OwnedFd> {
    let begun = Instant::now();
    loop {
        match target.address.connect() {
            Err(Errno::AGAIN) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(1)),
            other => return other.context("can't connect"),
        }
    }
}
