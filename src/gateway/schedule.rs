//! How the kernel schedules the gateway's thread.
#![allow(unsafe_code)]

use tracing::debug;

/// Makes this thread a batch job (`SCHED_BATCH`, sched(7)), if the kernel lets it. Who
/// has just been woken then does not take the processor from who works: the gateway not
/// from the Python that answers, a solo worker not from the web server that asks. So
/// several requests are handled at a time. It costs no share of the processor.
pub(super) fn be_patient() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` lives through the call, which reads nothing else.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) } != 0 {
        let error = std::io::Error::last_os_error();
        debug!(%error, "the gateway is scheduled as any other process");
    }
}
