//! Free TCP ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many ports the tests share, from [`FIRST`] on: below the range from
/// which the kernel takes the ports of outgoing connections, so that none of
/// those steps in between.
const COUNT: u16 = 15_000;
const FIRST: u16 = 15_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that nobody listens on, never the same one twice.
pub fn free() -> u16 {
    // Two test runs at a time start at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(101) % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}
