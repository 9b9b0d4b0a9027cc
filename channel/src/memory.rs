//! Shared memory: the one place where this crate reads and writes through raw
//! pointers.
//!
//! The other process may change any byte at any time. So nothing here makes a
//! `&[u8]` of shared bytes on the gateway's side: they are copied, or passed to
//! the kernel by address. Words that both sides use are atomics.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use bytes::{BufMut, BytesMut};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Creates zeroed shared memory of `length` bytes that nobody can resize: a
/// shrunken mapping would kill the process that reads it.
pub(crate) fn create(name: &str, length: usize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create(name, flags)?;
    rustix::fs::ftruncate(&fd, length as u64)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

/// A type that may lie in shared memory: any bytes are a valid value, and every
/// change goes through a shared reference.
///
/// # Safety
/// The type must consist of atomics (and padding) only, in a fixed layout.
pub unsafe trait Shared {}

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: The mapping is plain memory; all access through it is by atomics or
// by copies whose exclusivity the ring and slot protocols keep, from any thread.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes.
    ///
    /// # Errors
    /// `InvalidData` when the file is shorter or can shrink; otherwise what
    /// `mmap(2)` reports.
    pub(crate) fn new(fd: impl AsFd, length: usize) -> io::Result<Self> {
        let size = rustix::fs::fstat(&fd)?.st_size;
        let sealed = rustix::fs::fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK);
        if !sealed || u64::try_from(size).is_ok_and(|size| size < length as u64) || length == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not our shared memory"));
        }
        let (rw, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: A new mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { mmap(std::ptr::null_mut(), length, rw, shared, fd, 0)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// The shared words at `offset`.
    ///
    /// # Panics
    /// When they do not lie inside the mapping: offsets are our own constants.
    pub(crate) fn at<T: Shared>(&self, offset: usize) -> &T {
        assert!(offset.is_multiple_of(align_of::<T>()), "misaligned");
        let at = self.part(offset, size_of::<T>());
        // SAFETY: Inside the mapping and aligned; `Shared` makes any bytes valid
        // and every access atomic.
        unsafe { at.cast::<T>().as_ref() }
    }

    /// Copies `bytes` to `offset`.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.part(offset, bytes.len());
        // SAFETY: `to` is valid for the length, and `bytes` is not shared memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) }
    }

    /// The bytes at `offset`, to be copied or passed to the kernel.
    pub(crate) fn window(&self, offset: usize, length: usize) -> Window<'_> {
        Window { at: self.part(offset, length), length, mapping: PhantomData }
    }

    /// For a system call that fills the bytes at `offset`.
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    pub(crate) fn io_slice_mut(&mut self, offset: usize, length: usize) -> IoSliceMut<'_> {
        let at = self.part(offset, length);
        // SAFETY: Inside the mapping, which the slice borrows. It only ever goes
        // to a system call: no Rust code touches it.
        IoSliceMut::new(unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), length) })
    }

    fn part(&self, offset: usize, length: usize) -> NonNull<u8> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "outside of the shared memory");
        // SAFETY: Inside the mapping, as just checked.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and every borrow of it has ended.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Bytes in shared memory. The other side may be changing them.
#[derive(Debug, Clone, Copy)]
pub struct Window<'m> {
    at: NonNull<u8>,
    length: usize,
    mapping: PhantomData<&'m Mapping>,
}

impl<'m> Window<'m> {
    /// How many bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first `count` bytes and the rest; all and nothing if there are fewer.
    #[must_use]
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let count = count.min(self.length);
        // SAFETY: `count` is inside the window.
        let rest = unsafe { self.at.add(count) };
        (Self { length: count, ..self }, Self { at: rest, length: self.length - count, ..self })
    }

    /// Appends a copy of the bytes.
    pub fn append_to(self, out: &mut BytesMut) {
        out.reserve(self.length);
        let spare = out.chunk_mut();
        // SAFETY: `spare` is at least as long as the window, as just reserved,
        // and private to this process; the copied bytes are then initialised.
        unsafe {
            std::ptr::copy_nonoverlapping(self.at.as_ptr(), spare.as_mut_ptr(), self.length);
            out.advance_mut(self.length);
        }
    }

    /// Appends a copy of the bytes.
    pub(crate) fn append_to_vec(self, out: &mut Vec<u8>) {
        out.reserve(self.length);
        let old = out.len();
        // SAFETY: The spare capacity is at least as long as the window, as just
        // reserved, and private; the copied bytes are then initialised.
        unsafe {
            let spare = out.as_mut_ptr().add(old);
            std::ptr::copy_nonoverlapping(self.at.as_ptr(), spare, self.length);
            out.set_len(old + self.length);
        }
    }

    /// Copies the bytes to the beginning of `out`, as many as there is room for.
    pub(crate) fn copy_to(self, out: &mut [MaybeUninit<u8>]) {
        let length = self.length.min(out.len());
        // SAFETY: Both have so many bytes, and `out` is private to this process.
        unsafe {
            std::ptr::copy_nonoverlapping(self.at.as_ptr(), out.as_mut_ptr().cast(), length);
        }
    }

    /// A copy of the first `N` bytes; `None` if there are fewer.
    #[must_use]
    pub fn first<const N: usize>(self) -> Option<[u8; N]> {
        let mut copy = [0; N];
        if self.length < N {
            return None;
        }
        // SAFETY: The window has N bytes, and `copy` is private.
        unsafe { std::ptr::copy_nonoverlapping(self.at.as_ptr(), copy.as_mut_ptr(), N) };
        Some(copy)
    }

    /// For a system call that reads the bytes.
    #[must_use]
    pub fn as_io_slice(self) -> IoSlice<'m> {
        // SAFETY: The range stays mapped for 'm. The slice only ever goes to a
        // system call: no Rust code reads it.
        IoSlice::new(unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.length) })
    }
}
