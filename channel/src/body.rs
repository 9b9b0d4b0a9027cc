//! Large request bodies as a worker reads them: where the gateway has received
//! them, in shared memory that is mapped once and used for many requests.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::fstat;

use crate::memory::{Mapping, Window};

/// How many buffers stay mapped: as many as the gateway keeps.
const KEPT: usize = 64;

/// A request body in memory that is shared with the gateway, which uses it for
/// another request after this one's end.
#[derive(Debug)]
pub struct SharedBody {
    mapping: Arc<Mapping>,
    length: usize,
}

impl SharedBody {
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

    /// Fills all of `out` with the bytes from `at` on; `false`, and nothing is
    /// done, if the body has not so many.
    pub fn copy_to(&self, at: u64, out: &mut [MaybeUninit<u8>]) -> bool {
        self.window(at, out.len()).map(|window| window.copy_to(out)).is_some()
    }

    /// Appends `length` bytes from `at` on; `false`, and nothing is done, if the
    /// body has not so many.
    pub fn append_to(&self, at: u64, length: usize, out: &mut Vec<u8>) -> bool {
        self.window(at, length).map(|window| window.append_to_vec(out)).is_some()
    }

    fn window(&self, at: u64, length: usize) -> Option<Window<'_>> {
        let at = usize::try_from(at).ok()?;
        let inside = at.checked_add(length).is_some_and(|end| end <= self.length);
        inside.then(|| self.mapping.window(at, length))
    }
}

/// The buffers that were seen last, mapped, and the number by which the kernel
/// knows each.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    mapped: Vec<(u64, Arc<Mapping>)>,
    oldest: usize,
}

impl Bodies {
    /// The body of `length` bytes in this buffer.
    ///
    /// # Errors
    /// `InvalidData` when it is no buffer of the gateway's or a shorter one;
    /// otherwise what the operating system reports.
    pub(crate) fn body(&mut self, buffer: &OwnedFd, length: u64) -> io::Result<SharedBody> {
        let status = fstat(buffer)?;
        let (number, size) = (status.st_ino, u64::try_from(status.st_size).unwrap_or(0));
        if length > size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a body longer than its place"));
        }
        let (length, size) = (to_usize(length)?, to_usize(size)?);
        // The number is nobody else's as long as we have it mapped.
        let known = self.mapped.iter().find(|(known, _)| *known == number);
        let mapping = match known {
            Some((_, mapping)) => Arc::clone(mapping),
            None => {
                let mapping = Arc::new(Mapping::new(buffer, size)?);
                let entry = (number, Arc::clone(&mapping));
                match self.mapped.get_mut(self.oldest) {
                    Some(oldest) => *oldest = entry,
                    None => self.mapped.push(entry),
                }
                self.oldest = (self.oldest + 1) % KEPT;
                mapping
            }
        };
        Ok(SharedBody { mapping, length })
    }
}

fn to_usize(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    fn bytes(body: &SharedBody) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(body.append_to(0, body.len(), &mut bytes));
        bytes
    }

    #[test]
    fn a_buffer_is_mapped_once() {
        let mut bodies = Bodies::default();
        let buffer = memory::create("test", 4096).unwrap();
        rustix::io::pwrite(&buffer, b"first", 0).unwrap();
        assert_eq!(bytes(&bodies.body(&buffer, 5).unwrap()), b"first");
        rustix::io::pwrite(&buffer, b"again!", 0).unwrap();
        let again = bodies.body(&buffer.try_clone().unwrap(), 6).unwrap();
        assert_eq!((bytes(&again), bodies.mapped.len()), (b"again!".to_vec(), 1));
        for _ in 0..KEPT + 1 {
            bodies.body(&memory::create("test", 4096).unwrap(), 1).unwrap();
        }
        assert_eq!(bodies.mapped.len(), KEPT);
        assert_eq!(bytes(&again), b"again!", "what is in use stays mapped");
    }

    #[test]
    fn nothing_past_the_end_is_read() {
        let mut bodies = Bodies::default();
        let buffer = memory::create("test", 4096).unwrap();
        assert!(bodies.body(&buffer, 4097).is_err());
        let body = bodies.body(&buffer, 10).unwrap();
        let mut out = [MaybeUninit::uninit(); 4];
        assert!(body.copy_to(6, &mut out) && !body.copy_to(7, &mut out));
        assert!(!body.copy_to(u64::MAX, &mut out) && !body.append_to(11, 0, &mut Vec::new()));
    }
}
