//! Whether what we write goes straight to systemd's journal, which knows the time
//! by itself and wants to be told how grave a line is (sd-daemon(3)).

use std::os::fd::AsFd;

use tracing::Level;

/// Whether this descriptor is the stream that systemd has connected to the
/// journal: `JOURNAL_STREAM` is its device and inode (systemd.exec(5)).
pub(super) fn is_behind(fd: impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stat = rustix::fs::fstat(fd).ok();
    named.zip(stat).is_some_and(|(named, stat)| parse(&named) == Some((stat.st_dev, stat.st_ino)))
}

fn parse(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Puts the level in front of each line, in the journal's form.
pub(super) fn with_priority(level: Level, text: &[u8]) -> Vec<u8> {
    let priority: &[u8] = match level {
        Level::ERROR => b"<3>",
        Level::WARN => b"<4>",
        Level::INFO => b"<6>",
        _ => b"<7>",
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| [priority, line]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_a_device_and_an_inode() {
        assert_eq!(parse("10:2342"), Some((10, 2342)));
        for wrong in ["", "10", "10:", "a:b", "10:2342:1", "-1:2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_line_of_an_event_has_its_priority() {
        let text = with_priority(Level::ERROR, b"app error\n    Traceback\n");
        assert_eq!(text, b"<3>app error\n<3>    Traceback\n");
    }
}
