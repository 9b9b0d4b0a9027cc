//! Children that others leave to us.
//!
//! With a zygote, this process is the one that inherits: the workers of a zygote
//! that has died stay in sight, and what an app has left behind has to be
//! buried, too.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

/// From here on orphaned descendants become children of this process.
///
/// # Errors
/// What `prctl(2)` reports.
pub(super) fn inherit() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Buries children that have ended, as far as nobody else waits for them:
/// `known` says of which process ids somebody does.
pub(super) fn bury(known: impl Fn(u32) -> bool) {
    // One that is known hides those behind it until it is buried itself.
    while let Some(pid) = first_ended().filter(|&pid| !known(pid.as_raw_pid().unsigned_abs())) {
        if !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))) {
            break;
        }
        tracing::debug!(pid = pid.as_raw_pid(), "orphan has ended");
    }
}

/// A child that has ended. It is left to be waited for.
fn first_ended() -> Option<Pid> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` has room for what the call writes; all zero, which it stays
    // without such a child, is a valid value of this plain structure.
    unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) != 0 {
            return None;
        }
        Pid::from_raw(info.assume_init().si_pid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In a process of its own: other tests wait for their children here.
    #[test]
    fn orphans_are_buried_and_known_children_left_alone() {
        const INSIDE: &str = "FLUPD_TEST_ORPHANS";
        if std::env::var_os(INSIDE).is_none() {
            let name =
                "supervisor::orphans::tests::orphans_are_buried_and_known_children_left_alone";
            let mut again = Command::new(std::env::current_exe().unwrap());
            let output = again.args([name, "--exact"]).env(INSIDE, "1").output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        inherit().unwrap();
        let mut known = Command::new("true").spawn().unwrap();
        let pid = known.id();
        let orphan = Command::new("sh").args(["-c", "true & echo $!"]).output().unwrap();
        let orphan = String::from_utf8(orphan.stdout).unwrap();
        let proc = std::path::Path::new("/proc").join(orphan.trim());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut known_ended = false;
        while proc.exists() {
            assert!(std::time::Instant::now() < deadline, "{orphan} is not buried");
            bury(|one| one == pid);
            // It may stand in front.
            if !known_ended && first_ended().is_some_and(|one| one == Pid::from_child(&known)) {
                assert!(known.wait().unwrap().success());
                known_ended = true;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(known_ended || known.wait().unwrap().success());
    }
}
