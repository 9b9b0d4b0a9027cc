//! What binds a forked worker to the supervisor.
//!
//! The kernel can end a process with its parent (`PR_SET_PDEATHSIG`), but a
//! worker shall outlive its parent, the zygote. So it holds one end of a pipe
//! whose other end only the supervisor has, and asks the kernel to send SIGKILL,
//! in place of SIGIO, when anything happens there. Nothing is ever written, so
//! that is the supervisor's end. No thread is needed, which an app that forks
//! would be warned of.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};

/// Which signal to send in place of SIGIO: see fcntl(2).
const F_SETSIG: i32 = 10;

/// From here on this process ends when the other end is closed, and at once if
/// that is so already. Where the kernel does not know how, nothing happens: then
/// a worker ends when its app has answered.
pub(crate) fn hold(end: OwnedFd) {
    let fd = end.as_raw_fd();
    // SAFETY: system calls on an open descriptor. They change nothing but whom
    // the kernel signals for it.
    unsafe {
        libc::fcntl(fd, libc::F_SETOWN, getpid().as_raw_pid());
        libc::fcntl(fd, F_SETSIG, libc::SIGKILL);
        libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC);
    }
    let mut polled = [PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)];
    let closed = matches!(poll(&mut polled, Some(&Timespec::default())), Ok(1..));
    if closed {
        let _ = kill_process(getpid(), Signal::KILL);
    }
    // Held to the end of the process.
    let _ = end.into_raw_fd();
}
