//! The end of the web server, where it is seen: programs that it has started do
//! not outlive it, even if it is killed.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Web servers that stay the parents of what they start, by the name of their
/// process. Others, such as spawn-fcgi, leave at once, by design.
const STAYING: [&str; 4] = ["lighttpd", "apache2", "httpd", "multiwatch"];

/// Has the kernel send SIGTERM to this process at its parent's end. If it is not
/// `asked` for, that is done where the parent is known to stay.
///
/// # Errors
/// When the parent has gone meanwhile.
pub(super) fn end_with_it(asked: Option<bool>) -> io::Result<()> {
    let Some(parent) = getppid() else { return Ok(()) };
    let name = || std::fs::read_to_string(format!("/proc/{}/comm", parent.as_raw_nonzero()));
    let known = || name().is_ok_and(|name| STAYING.contains(&name.trim_end()));
    if !asked.unwrap_or_else(known) {
        return Ok(());
    }
    set_parent_process_death_signal(Some(Signal::TERM))?;
    match getppid() == Some(parent) {
        true => Ok(()),
        false => Err(io::Error::other("the process that has started this one has gone")),
    }
}
