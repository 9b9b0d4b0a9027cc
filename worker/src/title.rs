//! What `ps` shows of a worker, in place of the bootstrap's text.

use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Shows this text as the process's command line, as far as it fits, and its
/// thread's name. Where the system does not allow it nothing changes.
pub(crate) fn set(title: &str) {
    let _ = overwrite_arguments(title);
    // 15 bytes; the number of a worker always fits.
    let name: String = title.chars().filter(char::is_ascii).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// The strings that the kernel put above the stack at exec. They are written by
/// way of /proc, which fails where they are not mapped, and nothing of Python
/// looks at them any more: `sys.argv` is a copy.
fn overwrite_arguments(title: &str) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let Some(area) = argument_area(&stat) else { return Ok(()) };
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&fitted(title, area.end - area.start), area.start)
}

/// Fields 48 and 49 of proc(5)'s stat: arg_start, arg_end.
fn argument_area(stat: &str) -> Option<Range<u64>> {
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let start: u64 = fields.next()?.parse().ok()?;
    let end: u64 = fields.next()?.parse().ok()?;
    // The kernel allows far less than this for all arguments.
    (start > 0 && start < end && end - start < 1 << 24).then_some(start..end)
}

/// The title in exactly this length: cut at a character, and NUL to the end. The
/// last byte stays NUL, by which the kernel knows where the area ends.
fn fitted(title: &str, length: u64) -> Vec<u8> {
    let length = usize::try_from(length).unwrap_or(0);
    let cut = title.floor_char_boundary(length.saturating_sub(1));
    let mut bytes = title.as_bytes().get(..cut).unwrap_or_default().to_vec();
    bytes.resize(length, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_arguments_behind_an_odd_name() {
        let numbers: Vec<String> = (4..=52).map(|field| format!("{}", field * 10)).collect();
        let stat = format!("1 (a) b (c) S {}\n", numbers.join(" "));
        assert_eq!(argument_area(&stat), Some(480..490));
        assert_eq!(argument_area("1 (a) S 1 2 3"), None);
        assert_eq!(argument_area(""), None);
        assert_eq!(argument_area(&stat.replace("480", "0")), None);
        assert_eq!(argument_area(&stat.replace("480", "500")), None);
    }

    #[test]
    fn the_own_arguments_are_found() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let area = argument_area(&stat).unwrap();
        let line = std::fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(area.end - area.start, line.len() as u64);
    }

    #[test]
    fn a_title_is_cut_at_a_character() {
        assert_eq!(fitted("abc", 6), b"abc\0\0\0");
        assert_eq!(fitted("abc", 3), b"ab\0");
        assert_eq!(fitted("aé", 3), b"a\0\0");
        assert_eq!(fitted("abc", 0), b"");
    }
}
