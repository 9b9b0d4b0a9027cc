//! Signals that the kernel sends when something comes through a pipe: for those
//! who can't wait for it, because they run the app.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, transmute};
use std::os::fd::{AsRawFd, OwnedFd};

/// See fcntl(2).
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;
const F_OWNER_TID: c_int = 0;

/// The thread's errno, left as it was found: what a signal handler owes to whom it
/// interrupts.
pub(crate) struct Errno(c_int);

impl Errno {
    pub(crate) fn keep() -> Self {
        // SAFETY: the thread's own errno.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

pub(crate) fn gettid() -> c_int {
    // SAFETY: gettid(2) has no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as c_int }
}

/// The handler that Python has just set, with sigaction(2) and without
/// SA_SIGINFO.
pub(crate) fn handler(signal: c_int) -> io::Result<extern "C" fn(c_int)> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: fills the structure when it succeeds.
    match unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } {
        // SAFETY: it is filled.
        0 => match unsafe { action.assume_init() } {
            action if action.sa_flags & libc::SA_SIGINFO != 0 => {
                Err(io::ErrorKind::Unsupported.into())
            }
            action if [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction) => {
                Err(io::ErrorKind::NotFound.into())
            }
            // SAFETY: without SA_SIGINFO it is a function of the signal's number.
            action => Ok(unsafe { transmute::<usize, extern "C" fn(c_int)>(action.sa_sigaction) }),
        },
        _ => Err(io::Error::last_os_error()),
    }
}

/// A handler that is told what it has interrupted: see sigaction(2), `SA_SIGINFO`.
pub(crate) type Interrupts = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Sets a signal's handler.
pub(crate) fn handle(signal: c_int, handler: extern "C" fn(c_int), flags: c_int) -> io::Result<()> {
    set(signal, handler as *const (), flags)
}

/// The same with one that is told what it has interrupted.
pub(crate) fn interrupt(signal: c_int, handler: Interrupts, flags: c_int) -> io::Result<()> {
    set(signal, handler as *const (), flags | libc::SA_SIGINFO)
}

fn set(signal: c_int, handler: *const (), flags: c_int) -> io::Result<()> {
    // SAFETY: all zero is a valid sigaction: no flags, nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = flags;
    // SAFETY: the handler is a function of this library, which is never unloaded,
    // and does only what signal-safety(7) allows.
    match unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From here on this thread gets the signal when something comes.
pub(crate) fn signal_when_readable(pipe: &OwnedFd, signal: c_int) -> io::Result<()> {
    #[repr(C)]
    struct Owner {
        kind: c_int,
        tid: c_int,
    }
    let (fd, owner) = (pipe.as_raw_fd(), Owner { kind: F_OWNER_TID, tid: gettid() });
    // SAFETY: system calls on an open descriptor. They change nothing but whom
    // the kernel signals for it, and how.
    let done = unsafe {
        libc::fcntl(fd, F_SETOWN_EX, &raw const owner) == 0
            && libc::fcntl(fd, F_SETSIG, signal) == 0
            && libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
