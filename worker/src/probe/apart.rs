//! Frames that may not be whole are written in a process apart.
//!
//! A thread that computes can be anywhere: also where CPython has linked a new
//! frame and not yet filled it, and there faulthandler reads from wild addresses.
//! So a copy of the process does it. If that one dies, nothing has happened here.
//! A thread inside a system call is in C code that CPython has called, where the
//! frames are whole, and needs no copy.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// How long the copy may take, in seconds: a wild address can also lead nowhere.
const PATIENCE: u32 = 1;

/// Whether a signal has come while its thread was in a system call. `context` is
/// the third argument of the signal's handler.
pub(super) fn in_system_call(context: *mut c_void) -> bool {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    const CALL: [u8; 2] = [0x0f, 0x05];
    #[cfg(target_arch = "aarch64")]
    const CALL: [u8; 4] = [0x01, 0x00, 0x00, 0xd4];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel has made it, for this handler.
    let at = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] } as usize;
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel has made it, for this handler.
    let at = unsafe { (*context).uc_mcontext.pc } as usize;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        // Behind the instruction, or at it if the kernel repeats the call. In the
        // page that is being run, and in no other: that one may not be there.
        let in_page = at & 4095;
        let is_call = |at: usize| {
            // SAFETY: it lies in the page of code that the thread runs.
            unsafe { (at as *const [u8; CALL.len()]).read_unaligned() == CALL }
        };
        in_page >= CALL.len()
            && in_page <= 4096 - CALL.len()
            && (is_call(at - CALL.len()) || is_call(at))
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        false
    }
}

/// Has a copy of this process call `tell` with `argument`; `false` if that did not
/// come back. In a signal handler.
pub(super) fn tell(tell: extern "C" fn(c_int), argument: c_int) -> bool {
    // As fork(2), without what libraries do around that, and without a signal at
    // the end: nobody else shall wait for it.
    // SAFETY: the copy has this thread only, on a copy of its stack.
    let copy = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    match copy {
        ..0 => false,
        0 => be_the_copy(tell, argument),
        copy => wait(copy as libc::pid_t),
    }
}

fn be_the_copy(tell: extern "C" fn(c_int), argument: c_int) -> ! {
    // SAFETY: system calls; what they change is the copy's.
    unsafe {
        // It dies without a word and without a core.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let mut mine: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mine);
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGALRM] {
            libc::signal(signal, libc::SIG_DFL);
            libc::sigaddset(&raw mut mine, signal);
        }
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const mine, std::ptr::null_mut());
        libc::alarm(PATIENCE);
    }
    tell(argument);
    // SAFETY: nothing is left to do.
    unsafe { libc::_exit(0) }
}

fn wait(copy: libc::pid_t) -> bool {
    let mut status = 0;
    loop {
        // SAFETY: waits for this child, which no other call waits for.
        let done = unsafe { libc::waitpid(copy, &raw mut status, libc::__WALL) };
        // SAFETY: the thread's own errno.
        if done == copy || unsafe { *libc::__errno_location() } != libc::EINTR {
            return done == copy && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
    }
}
