//! The open loop: requests at their times, as from people who do not know of
//! each other. A latency counts from the time a request was due, so that a
//! server that stands still can't hide the requests it kept from being sent.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{Client, Target};
use crate::latencies::{Latencies, Outcome};
use crate::wait;

/// How long the last requests may take to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Debug)]
pub struct Load {
    /// The request whose latencies count.
    pub fast: Vec<u8>,
    /// The request that takes its place now and then.
    pub slow: Vec<u8>,
    pub slow_percent: u64,
    /// Requests a second, slow ones included.
    pub rate: f64,
    /// Whether arrivals are evenly spaced; else they come independently of each other.
    pub even: bool,
    pub time: Duration,
}

/// Sends the load, on as many connections as it takes.
///
/// # Errors
/// When the server can't be reached, or gives an answer that is not a 2xx.
pub fn run(target: &Target, load: &Load) -> Result<Outcome> {
    let mut arrivals = Arrivals::of(load);
    let mut clients: Vec<Client<'_>> = Vec::new();
    // Whether each client's request is a fast one.
    let mut fast: Vec<bool> = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut latencies = Latencies::default();
    let begun = Instant::now();
    let end = begun + load.time;
    let mut next = begun;
    let mut requests = 0;
    loop {
        let now = Instant::now();
        while next <= now && next < end {
            let (slow, wait) = arrivals.next();
            let at =
                clients.iter().position(|client| client.due().is_none()).unwrap_or_else(|| {
                    clients.push(Client::new(target));
                    fast.push(false);
                    clients.len() - 1
                });
            fast[at] = !slow;
            clients[at].ask(if slow { &load.slow } else { &load.fast }, next)?;
            next += wait;
        }
        let idle = clients.iter().all(|client| client.due().is_none());
        if now > end + PATIENCE || (next >= end && idle) {
            break;
        }
        let until = if next < end { next } else { now + Duration::from_millis(100) };
        for at in wait::ready(&clients, until)? {
            if let Some(due) = clients[at].advance(&mut buffer)? {
                requests += 1;
                if fast[at] {
                    latencies.add(due.elapsed());
                }
            }
        }
    }
    let waiting: Vec<_> = clients.iter().filter_map(Client::due).collect();
    waiting.iter().for_each(|due| latencies.add(due.elapsed()));
    Ok(latencies.outcome(requests, load.time, waiting.len()))
}

/// When requests come, and which of them are slow.
struct Arrivals {
    random: Random,
    rate: f64,
    even: bool,
    slow_percent: u64,
    /// In per cent: a slow request is due at 100.
    owed: u64,
}

impl Arrivals {
    const fn of(load: &Load) -> Self {
        let &Load { rate, even, slow_percent, .. } = load;
        Self { random: Random(0x2545_f491_4f6c_dd1d), rate, even, slow_percent, owed: 0 }
    }

    /// Whether the next request is a slow one, and the wait for the one after.
    fn next(&mut self) -> (bool, Duration) {
        if !self.even {
            let slow = self.random.below(100) < self.slow_percent;
            return (slow, Duration::from_secs_f64(self.random.exponential() / self.rate));
        }
        self.owed += self.slow_percent;
        let slow = self.owed >= 100;
        if slow {
            self.owed -= 100;
        }
        (slow, Duration::from_secs_f64(1.0 / self.rate))
    }
}

/// xorshift64*: the same arrivals in every run.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// The wait for the next of independent arrivals, 1 on average.
    fn exponential(&mut self) -> f64 {
        // 53 bits, the precision of a float; never 0, whose logarithm has no end.
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(even: bool) -> Load {
        let time = Duration::from_secs(1);
        Load { fast: Vec::new(), slow: Vec::new(), slow_percent: 5, rate: 100.0, even, time }
    }

    #[test]
    fn arrivals_come_at_their_rate_and_share() {
        for even in [true, false] {
            let mut arrivals = Arrivals::of(&load(even));
            let (slow, waits): (Vec<_>, Vec<_>) = (0..100_000).map(|_| arrivals.next()).unzip();
            let seconds = waits.iter().sum::<Duration>().as_secs_f64();
            assert!((980.0..1020.0).contains(&seconds), "{even}: {seconds}");
            let slow = slow.into_iter().filter(|slow| *slow).count();
            assert!((4_700..5_300).contains(&slow), "{even}: {slow}");
        }
    }

    #[test]
    fn even_arrivals_never_bunch() {
        let mut arrivals = Arrivals::of(&load(true));
        let first: Vec<_> = (0..40).map(|_| arrivals.next()).collect();
        assert!(first.iter().all(|(_, wait)| *wait == Duration::from_millis(10)));
        assert!(first.iter().enumerate().all(|(at, (slow, _))| *slow == (at % 20 == 19)));
    }
}
