//! Free TCP ports.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

/// Below the range from which the kernel takes the ports of outgoing
/// connections, so that none of those steps in between.
const RANGE: std::ops::Range<u16> = 15_000..30_000;

/// What this run of the tests holds, and where it goes on looking.
static TAKEN: Mutex<(u16, Vec<UnixListener>)> = Mutex::new((RANGE.start, Vec::new()));

/// A port of 127.0.0.1 that nobody listens on, given out once.
///
/// Another run of the tests at the same time does not get it either: a unix
/// socket of that name, which vanishes with this process, stands for it.
pub fn free() -> u16 {
    let mut taken = TAKEN.lock().unwrap();
    loop {
        let port = taken.0;
        assert!(RANGE.contains(&port), "no free port in {RANGE:?}");
        taken.0 += 1;
        let name = SocketAddr::from_abstract_name(format!("flupd-test-port-{port}")).unwrap();
        let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.1.push(claim);
            return port;
        }
    }
}
