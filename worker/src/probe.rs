//! Says where the app threads are, whatever they do: see [`flupd_channel::probe`].
//!
//! The kernel sends SIGURG to the main thread when a question comes. That one
//! passes it on to the thread that is meant, and each thread tells its own
//! frames only: nobody else changes them, and it can't itself while it is in the
//! handler. So neither the interpreter nor its lock is asked for anything. The
//! frames are written by CPython's faulthandler, in a process [`apart`] where they
//! may not be whole.
//!
//! SIGURG is ignored where it has no handler, so one that comes too early, too
//! late or to a child does no harm. System calls that can go on after a signal do
//! (`SA_RESTART`); Python repeats the others (PEP 475). A C library that does not,
//! when it sleeps or polls, sees EINTR.
#![allow(unsafe_code)]

mod apart;

use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, Ordering};

use flupd_channel::MAX_THREADS;
use flupd_channel::probe::{self, Order};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::doorbell::{self, Errno, gettid};

/// Asks a thread where it is.
const ASK: c_int = libc::SIGURG;

static PROBED: OnceLock<Probed> = OnceLock::new();

/// What the signal handler needs. It is never dropped.
struct Probed {
    asks: OwnedFd,
    answers: OwnedFd,
    /// This process, and no child that it forks.
    pid: c_int,
    /// faulthandler's own handler, which writes the frames of this thread.
    tell: extern "C" fn(c_int),
    telling: AtomicBool,
    threads: [Thread; MAX_THREADS],
}

struct Thread {
    /// 0 while there is none.
    tid: AtomicI32,
    /// How many of its outermost frames are flupd's.
    ours: AtomicU16,
    /// The question that waits for it, or 0.
    asked: AtomicU32,
}

/// Answers from here on. Main thread only, once.
///
/// # Errors
/// What Python or the operating system report; then nothing is answered.
pub(crate) fn install(py: Python<'_>, asks: OwnedFd, answers: OwnedFd) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("file", answers.as_raw_fd())?;
    options.set_item("all_threads", false)?;
    py.import("faulthandler")?.call_method("register", (ASK,), Some(&options))?;
    let probed = Probed {
        asks,
        answers,
        pid: std::process::id().cast_signed(),
        tell: doorbell::handler(ASK)?,
        telling: AtomicBool::new(false),
        threads: [const {
            Thread { tid: AtomicI32::new(0), ours: AtomicU16::new(0), asked: AtomicU32::new(0) }
        }; MAX_THREADS],
    };
    let probed = PROBED.get_or_init(|| probed);
    doorbell::interrupt(ASK, asked, libc::SA_RESTART | libc::SA_ONSTACK)?;
    doorbell::signal_when_readable(&probed.asks, ASK)?;
    Ok(())
}

/// The app thread of this number begins, in this thread.
///
/// # Errors
/// What a signal handler of the app raises meanwhile.
pub(crate) fn enter(py: Python<'_>, number: usize) -> PyResult<()> {
    if let Some(thread) = PROBED.get().and_then(|probed| probed.threads.get(number)) {
        thread.ours.store(depth(py)?, Ordering::Relaxed);
        thread.tid.store(gettid(), Ordering::SeqCst);
        if thread.asked.load(Ordering::SeqCst) != 0 {
            // It was asked before it was there. Not by a call: a handler is not
            // interrupted by its own signal, a call would be.
            // SAFETY: a system call.
            unsafe { libc::raise(ASK) };
        }
    }
    Ok(())
}

/// How many Python frames this thread has.
fn depth(py: Python<'_>) -> PyResult<u16> {
    let mut frame = py.import("sys")?.call_method0("_getframe")?;
    let mut depth = 0;
    while !frame.is_none() {
        depth += 1;
        frame = frame.getattr("f_back")?;
    }
    Ok(depth)
}

extern "C" fn asked(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let errno = Errno::keep();
    if let Some(probed) = PROBED.get() {
        probed.pass_on();
        probed.answer(signal, apart::in_system_call(context));
    }
    drop(errno);
}

/// Runs in a signal handler: nothing is allocated, no lock is taken.
impl Probed {
    /// Has each thread of which something is asked come here.
    fn pass_on(&self) {
        // A forked child would take what is asked of its parent.
        // SAFETY: getpid(2) has no preconditions.
        if unsafe { libc::getpid() } != self.pid {
            return;
        }
        let mut bytes = [0; Order::SIZE];
        // SAFETY: reads into a buffer of this size. The pipe does not wait.
        while unsafe { libc::read(self.asks.as_raw_fd(), bytes.as_mut_ptr().cast(), Order::SIZE) }
            == Order::SIZE as isize
        {
            let order = Order::from_bytes(bytes);
            let Some(thread) = self.threads.get(usize::from(order.thread)) else { continue };
            thread.asked.store(order.number, Ordering::SeqCst);
            let tid = thread.tid.load(Ordering::SeqCst);
            if tid != 0 && tid != gettid() {
                // SAFETY: a system call. A thread that has ended gets no signal.
                unsafe { libc::syscall(libc::SYS_tgkill, self.pid, tid, ASK) };
            }
        }
    }

    /// Answers what is asked of this thread; `whole` if its frames are.
    fn answer(&self, signal: c_int, whole: bool) {
        let tid = gettid();
        let of_mine = |thread: &&Thread| thread.tid.load(Ordering::Relaxed) == tid;
        let Some((at, thread)) = self.threads.iter().enumerate().find(|(_, t)| of_mine(t)) else {
            return;
        };
        let number = thread.asked.swap(0, Ordering::Relaxed);
        // Two at once would mix what they write. Who asks can ask again.
        if number == 0 || self.telling.swap(true, Ordering::Acquire) {
            return;
        }
        let order = Order { thread: at as u16, number };
        let ours = thread.ours.load(Ordering::Relaxed);
        let _ = self.say(|line| probe::begin(line, order, ours));
        let told = if whole {
            (self.tell)(signal);
            true
        } else {
            apart::tell(self.tell, signal)
        };
        let _ =
            self.say(|line| if told { probe::end(line, order) } else { probe::again(line, order) });
        self.telling.store(false, Ordering::Release);
    }

    fn say(&self, what: impl FnOnce(&mut Line) -> fmt::Result) -> fmt::Result {
        let mut line = Line { bytes: [0; 64], length: 0 };
        what(&mut line)?;
        // SAFETY: writes bytes that live until after the call. The pipe does not
        // wait: where it is full, the answer is incomplete.
        unsafe { libc::write(self.answers.as_raw_fd(), line.bytes.as_ptr().cast(), line.length) };
        Ok(())
    }
}

/// Text without an allocation.
struct Line {
    bytes: [u8; 64],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
