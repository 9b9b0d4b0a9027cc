//! The lingering close: a peer that is still sending when its socket is closed
//! gets a reset, and may lose the answer that it has not read yet. So the end
//! of the answer is said, and what still comes is read away for a while.

use std::time::Duration;

use super::stream::Stream;

/// The longest wait for the peer's next byte.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest time in all.
const TOTAL: Duration = Duration::from_secs(30);

/// Says the end, then reads away what the peer sends until it closes.
pub(super) async fn linger(stream: &Stream) {
    stream.shutdown();
    let mut waste = Vec::with_capacity(16 * 1024);
    let drain = async {
        loop {
            waste.clear();
            match stream.try_read(&mut waste) {
                Ok(Some(0)) | Err(_) => return,
                Ok(Some(_)) => {}
                Ok(None) => {
                    let ready = stream.readable();
                    if !matches!(tokio::time::timeout(SILENCE, ready).await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    };
    // Whoever goes on sending after this is cut off.
    let _ = tokio::time::timeout(TOTAL, drain).await;
}
