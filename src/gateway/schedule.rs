//! How the kernel schedules the gateway's thread.
#![allow(unsafe_code)]

/// Makes this thread a batch job (`SCHED_BATCH`, sched(7)): when an answer wakes
/// the gateway, it does not preempt the Python that runs on that processor, and
/// so handles several answers at a time. It costs no share of the processor.
///
/// # Errors
/// What `sched_setscheduler(2)` reports; the gateway works without, too.
pub(super) fn batch() -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` lives through the call, which reads nothing else.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
