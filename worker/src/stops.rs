//! Signals that tell a process without a supervisor to stop.
//!
//! They are watched below Python: its handlers run on the main thread between
//! bytecodes, and that thread may be anywhere. Once caught, a signal is a byte in
//! a socket. Handlers are put back at the end, and in every child that the app
//! forks, so that a child can be told to stop as any other process.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, sigaction};

/// Each means: finish what runs, and end.
const SIGNALS: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1];

/// Where a caught signal is written, or -1.
static SOCKET: AtomicI32 = AtomicI32::new(-1);

/// The process that watches: a child has its handlers until it has put them back.
static WATCHER: AtomicI32 = AtomicI32::new(0);

/// What was done about each signal before.
static BEFORE: OnceLock<[sigaction; SIGNALS.len()]> = OnceLock::new();

/// The watch over the signals; it ends when this is dropped.
#[derive(Debug)]
pub struct Stops {
    _written: UnixStream,
}

impl Stops {
    /// Watches from now on. Each signal is one byte, its number, in the socket
    /// that is returned. Once in a process.
    ///
    /// # Errors
    /// `AlreadyExists` at the second call; otherwise what the system reports.
    pub fn watch() -> io::Result<(Self, UnixStream)> {
        let (read, written) = UnixStream::pair()?;
        written.set_nonblocking(true)?;
        // SAFETY: sigaction(2) fills each of the structures, which may hold any bytes.
        let before = unsafe {
            let mut before = [MaybeUninit::<sigaction>::zeroed().assume_init(); SIGNALS.len()];
            for (number, old) in SIGNALS.iter().zip(&mut before) {
                if libc::sigaction(*number, ptr::null(), old) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            before
        };
        BEFORE.set(before).map_err(|_| io::ErrorKind::AlreadyExists)?;
        WATCHER.store(std::process::id().cast_signed(), Ordering::Relaxed);
        SOCKET.store(written.as_raw_fd(), Ordering::Relaxed);
        for number in SIGNALS {
            // SAFETY: a zeroed structure is an empty mask and no flags; the
            // handler stays loaded, as this library does, and does only what is
            // allowed in one.
            unsafe {
                let mut action = MaybeUninit::<sigaction>::zeroed().assume_init();
                action.sa_sigaction = caught as *const () as usize;
                // What the app waits for goes on.
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(number, &action, ptr::null_mut());
            }
        }
        Ok((Self { _written: written }, read))
    }
}

impl Drop for Stops {
    fn drop(&mut self) {
        give_back();
    }
}

/// Puts the handlers back that were there before, if they were replaced. Only
/// makes system calls, so it is allowed in a child after fork.
pub(crate) fn give_back() {
    if SOCKET.swap(-1, Ordering::Relaxed) >= 0 {
        restore();
    }
}

/// Puts the handlers back.
fn restore() {
    for (number, before) in SIGNALS.iter().zip(BEFORE.get().into_iter().flatten()) {
        // SAFETY: what sigaction(2) has given is what it takes.
        unsafe { libc::sigaction(*number, before, ptr::null_mut()) };
    }
}

extern "C" fn caught(number: c_int) {
    // SAFETY: getpid(2) and kill(2) are allowed in a handler and have no
    // preconditions.
    unsafe {
        let this = libc::getpid();
        if this != WATCHER.load(Ordering::Relaxed) {
            // A child that was forked just now: it is its own signal. It may be
            // putting them back at this very moment.
            restore();
            libc::kill(this, number);
            return;
        }
    }
    let socket = SOCKET.load(Ordering::Relaxed);
    let byte = number as u8;
    // SAFETY: write(2) is allowed in a handler; the byte lives as long as the
    // call, and a socket that has just been closed gives an error. errno is the
    // interrupted code's.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(socket, ptr::from_ref(&byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}
