//! What the C library does with memory that is free again.
//!
//! glibc gives blocks over 128 KiB back to the system at once, and asks for them
//! anew: each page of an uploaded body is then zeroed by the kernel and mapped
//! by a page fault, each time. A worker reads bodies all its life, so it keeps
//! some.
#![allow(unsafe_code)]

/// Blocks from this size on are given back at once, in bytes.
const LARGE: i32 = 8 * 1024 * 1024;

/// How much free memory at the heap's end is kept, in bytes.
const KEPT: i32 = 8 * 1024 * 1024;

/// Keeps the memory of usual bodies, unless the environment says otherwise. Call
/// it before there are other threads.
pub(crate) fn keep_memory() {
    let ours = |name: &str| std::env::var_os(name).is_none();
    let known = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"];
    if !known.into_iter().all(ours) {
        return;
    }
    // SAFETY: mallopt(3) only sets numbers of the allocator. One that does not
    // know them, or another allocator in its place, ignores it.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
