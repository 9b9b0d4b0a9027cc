//! Room for large request bodies: shared memory that a socket is received into
//! and that a worker reads, without a copy in between.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};

use crate::memory::{self, Mapping};

/// How many buffers are kept for the next bodies. Pages that were used once cost
/// nothing to use again.
const KEPT: usize = 64;

/// Where buffers come from, and go back to.
#[derive(Debug, Clone)]
pub struct Shelf {
    buffers: Rc<RefCell<Vec<Buffer>>>,
    /// How many have lain here ever since the last [`Shelf::trim`].
    unused: Rc<Cell<usize>>,
    capacity: usize,
}

/// A buffer; it goes back to its shelf when it is dropped.
///
/// Workers that had it keep it mapped or open. All on one shelf must therefore
/// run the same app.
#[derive(Debug)]
pub struct Lease {
    buffer: Option<Buffer>,
    length: usize,
    shelf: Shelf,
}

#[derive(Debug)]
struct Buffer {
    fd: OwnedFd,
    mapping: Mapping,
    capacity: usize,
}

impl Shelf {
    /// An empty shelf for buffers of `capacity` bytes. Memory is only used for
    /// bytes that were written.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { buffers: Rc::default(), unused: Rc::default(), capacity }
    }

    /// Gives back to the system half of what nobody has needed since the last
    /// time; `false` when nothing is left.
    pub fn trim(&self) -> bool {
        let mut buffers = self.buffers.borrow_mut();
        let kept = buffers.len() - self.unused.get().div_ceil(2).min(buffers.len());
        buffers.truncate(kept);
        self.unused.set(kept);
        kept > 0
    }

    /// How much a buffer holds, in bytes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// An empty buffer.
    ///
    /// # Errors
    /// What the operating system reports when it has no more memory or
    /// descriptors.
    pub fn take(&self) -> io::Result<Lease> {
        let kept = self.buffers.borrow_mut().pop();
        self.unused.set(self.unused.get().min(self.buffers.borrow().len()));
        let buffer = match kept {
            Some(buffer) => buffer,
            None => {
                let fd = memory::create("flupd-body", self.capacity)?;
                let (mapping, capacity) = (Mapping::new(&fd, self.capacity)?, self.capacity);
                Buffer { fd, mapping, capacity }
            }
        };
        Ok(Lease { buffer: Some(buffer), length: 0, shelf: self.clone() })
    }
}

impl Lease {
    /// How many bytes it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many more fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.shelf.capacity - self.length
    }

    /// Appends bytes; `false`, and nothing is done, if they do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if let Some(buffer) = self.buffer.as_ref().filter(|_| fits) {
            buffer.mapping.write(self.length, bytes);
            self.length += bytes.len();
        }
        fits
    }

    /// Receives at most `most` bytes from a socket to the end of this one, and
    /// what follows them into `extra`. Returns both counts; `None` if nothing
    /// has arrived, zeros at the end of input. Does not wait.
    ///
    /// # Errors
    /// What `recvmsg(2)` reports.
    pub fn receive(
        &mut self,
        socket: impl AsFd,
        most: usize,
        extra: &mut [u8],
    ) -> io::Result<Option<(usize, usize)>> {
        let most = most.min(self.room());
        let Some(buffer) = &mut self.buffer else { return Ok(None) };
        let body = buffer.mapping.io_slice_mut(self.length, most);
        let mut parts = [body, IoSliceMut::new(extra)];
        let mut none = RecvAncillaryBuffer::default();
        match recvmsg(socket, &mut parts, &mut none, RecvFlags::DONTWAIT) {
            Ok(got) => {
                let body = got.bytes.min(most);
                self.length += body;
                Ok(Some((body, got.bytes - body)))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The memory as a file, to be read by position from 0 to [`Lease::len`].
    ///
    /// # Errors
    /// What `dup(2)` reports, usually that no descriptor is left.
    pub fn file(&self) -> io::Result<File> {
        Ok(File::from(self.as_fd().try_clone_to_owned()?))
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.buffer {
            Some(buffer) => buffer.fd.as_fd(),
            // It is only empty while it is dropped.
            None => rustix::stdio::stdin(),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut buffers = self.shelf.buffers.borrow_mut();
        if buffers.len() < KEPT {
            buffers.extend(self.buffer.take());
        }
    }
}

/// Workers may have it mapped still: the memory goes all the same.
impl Drop for Buffer {
    fn drop(&mut self) {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // If it fails, the memory goes with the last of those workers.
        let _ = fallocate(&self.fd, punch, 0, self.capacity as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_body_is_received_in_place_and_what_follows_apart() {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        let shelf = Shelf::new(10);
        let mut lease = shelf.take().unwrap();
        assert!(lease.push(b"ab"));
        let mut extra = [0; 4];
        assert_eq!(lease.receive(&socket, 3, &mut extra).unwrap(), None);
        peer.write_all(b"cdeXYZ").unwrap();
        assert_eq!(lease.receive(&socket, 3, &mut extra).unwrap(), Some((3, 3)));
        assert_eq!(&extra[..3], b"XYZ");
        let mut all = [0; 5];
        lease.file().unwrap().read_exact_at(&mut all, 0).unwrap();
        assert_eq!(&all, b"abcde");
        assert!(!lease.push(b"123456") && lease.push(b"12345"));
        drop(peer);
        assert_eq!(lease.receive(&socket, 3, &mut extra).unwrap(), Some((0, 0)));
    }

    #[test]
    fn what_nobody_needs_goes_back_to_the_system() {
        let shelf = Shelf::new(10);
        let four: Vec<_> = (0..4).map(|_| shelf.take().unwrap()).collect();
        drop(four);
        assert!(shelf.trim(), "all were in use since the last time");
        assert_eq!(shelf.buffers.borrow().len(), 4);
        drop(shelf.take().unwrap());
        assert!(shelf.trim(), "three were not");
        assert_eq!(shelf.buffers.borrow().len(), 2);
        assert!(shelf.trim());
        assert!(!shelf.trim());
    }

    #[test]
    fn memory_goes_back_although_a_worker_has_it_mapped() {
        let shelf = Shelf::new(64 * 1024);
        let mut lease = shelf.take().unwrap();
        lease.push(&[7; 64 * 1024]);
        let worker = File::from(lease.as_fd().try_clone_to_owned().unwrap());
        let _mapped = Mapping::new(&worker, 64 * 1024).unwrap();
        let blocks = || rustix::fs::fstat(&worker).unwrap().st_blocks;
        drop(lease);
        assert!(blocks() > 0);
        drop(shelf);
        assert_eq!(blocks(), 0);
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let shelf = Shelf::new(10);
        let mut lease = shelf.take().unwrap();
        lease.push(b"secret");
        drop(lease);
        assert_eq!(shelf.buffers.borrow().len(), 1);
        assert_eq!(shelf.take().unwrap().len(), 0);
    }
}
