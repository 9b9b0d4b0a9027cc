//! A request body while it arrives: a small one in memory, a large one in shared
//! memory, one over the bound in an unnamed file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use flupd_channel::gateway::{Body, Lease, Shelf};

use super::stream::Stream;

/// Up to this size a body travels in the slot of its request.
const SMALL: usize = 24 * 1024;

/// How much is collected for one write to disk.
const BLOCK: usize = 256 * 1024;

/// What follows a body in the same read is seldom more than a record's padding
/// and the next record's header.
pub(super) type Extra = [u8; 24];

/// Collects a body. The disk is only touched on a thread for such work, so a
/// slow disk holds up no other connection.
#[derive(Debug)]
pub(super) struct Spool {
    place: Place,
    length: u64,
    shelf: Shelf,
}

/// ```text
/// Memory ──over SMALL──▶ Shared ──over the shelf's capacity──▶ File
/// ```
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Shared(Lease),
    File {
        file: Option<File>,
        /// What was in shared memory before, and has to be written first.
        before: Option<Lease>,
        pending: Vec<u8>,
    },
}

impl Spool {
    /// An empty body. `promised` is its length in bytes, if that is known.
    ///
    /// # Errors
    /// What the operating system reports when it has no memory for it.
    pub(super) fn new(shelf: &Shelf, promised: Option<u64>) -> io::Result<Self> {
        let promised = promised.unwrap_or(0);
        let place = if promised <= SMALL as u64 {
            Place::Memory(Vec::with_capacity(usize::try_from(promised).unwrap_or(0)))
        } else if promised <= shelf.capacity() as u64 {
            Place::Shared(shelf.take()?)
        } else {
            Place::File { file: None, before: None, pending: Vec::new() }
        };
        Ok(Self { place, length: 0, shelf: shelf.clone() })
    }

    /// Bytes so far.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// What the operating system reports when it has no memory for them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if let Place::Memory(memory) = &mut self.place
            && memory.len() + bytes.len() > SMALL
        {
            let mut lease = self.shelf.take()?;
            lease.push(memory);
            self.place = Place::Shared(lease);
        }
        match &mut self.place {
            Place::Memory(memory) => memory.extend_from_slice(bytes),
            Place::Shared(lease) => {
                if !lease.push(bytes) {
                    let full = std::mem::replace(&mut self.place, Place::Memory(Vec::new()));
                    let before = if let Place::Shared(lease) = full { Some(lease) } else { None };
                    self.place = Place::File { file: None, before, pending: bytes.to_vec() };
                }
            }
            Place::File { pending, .. } => pending.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// Receives at most `most` bytes of body straight into shared memory, where
    /// the body is; what follows goes to `extra`. `None` where it has to be read
    /// the ordinary way; counts otherwise, zeros at the end of input.
    ///
    /// # Errors
    /// What the socket reports.
    pub(super) fn receive(
        &mut self,
        stream: &Stream,
        most: usize,
        extra: &mut Extra,
    ) -> io::Result<Option<(usize, usize)>> {
        let Place::Shared(lease) = &mut self.place else { return Ok(None) };
        if most > lease.room() {
            return Ok(None);
        }
        let got = lease.receive(stream, most, extra)?;
        self.length += got.map_or(0, |(body, _)| body as u64);
        Ok(got)
    }

    /// Writes to disk what has to go there.
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) async fn spill(&mut self) -> io::Result<()> {
        match &self.place {
            Place::File { before, pending, .. } if before.is_some() || pending.len() >= BLOCK => {
                self.write_out().await
            }
            _ => Ok(()),
        }
    }

    /// Writes to disk what is still to go there, before [`Spool::finish`].
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if let Place::File { .. } = self.place { self.write_out().await } else { Ok(()) }
    }

    /// The whole body, all of it being where it belongs.
    ///
    /// # Errors
    /// `NotFound` for a file of which nothing was written.
    pub(super) fn finish(self) -> io::Result<Body> {
        Ok(match self.place {
            Place::Memory(memory) => Body::Memory(memory),
            Place::Shared(lease) => Body::Shared(lease),
            Place::File { file: Some(file), .. } => Body::File { file, length: self.length },
            Place::File { file: None, .. } => return Err(io::ErrorKind::NotFound.into()),
        })
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let Place::File { file, before, pending } = &mut self.place else { return Ok(()) };
        let (to, mut bytes) = (file.take(), std::mem::take(pending));
        let first = match before {
            Some(lease) => Some((lease.file()?, lease.len() as u64)),
            None => None,
        };
        let written = tokio::task::spawn_blocking(move || {
            let mut to = match to {
                Some(file) => file,
                None => tempfile::tempfile()?,
            };
            if let Some((mut memory, length)) = first {
                memory.rewind()?;
                io::copy(&mut memory.take(length), &mut to)?;
            }
            to.write_all(&bytes)?;
            bytes.clear();
            Ok::<_, io::Error>((to, bytes))
        });
        let (to, bytes) = written.await.map_err(io::Error::other)??;
        self.place = Place::File { file: Some(to), before: None, pending: bytes };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A body of these parts, and whether it ended in memory, shared memory or a
    /// file.
    async fn whole(parts: &[usize], promised: Option<u64>) -> (&'static str, Vec<u8>) {
        let shelf = Shelf::new(100_000);
        let mut spool = Spool::new(&shelf, promised).unwrap();
        let mut next = 0_u32;
        for &part in parts {
            let bytes: Vec<u8> = (0..part).map(|n| (next as usize + n) as u8).collect();
            next += part as u32;
            spool.push(&bytes).unwrap();
            spool.spill().await.unwrap();
        }
        let length = spool.length();
        let read = |file: &File| {
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        spool.flush().await.unwrap();
        match spool.finish().unwrap() {
            Body::Memory(bytes) => ("memory", bytes),
            Body::Shared(lease) => ("shared", read(&lease.file().unwrap())),
            Body::File { file, .. } => ("file", read(&file)),
        }
    }

    #[tokio::test]
    async fn every_size_is_kept_in_order_where_it_belongs() {
        for (parts, promised, place) in [
            (&[][..], None, "memory"),
            (&[5, 7], Some(12), "memory"),
            (&[SMALL], None, "memory"),
            (&[SMALL, 1], None, "shared"),
            (&[30_000, 70_000], Some(100_000), "shared"),
            (&[30_000, 70_000], None, "shared"),
            (&[30_000, 70_000, 1], None, "file"),
            (&[30_000, 70_001, 5, 400_000, 3], None, "file"),
            (&[400_000], Some(400_000), "file"),
        ] {
            let (kept, bytes) = whole(parts, promised).await;
            assert_eq!(kept, place, "{parts:?}");
            assert_eq!(bytes.len(), parts.iter().sum::<usize>());
            assert!(bytes.iter().enumerate().all(|(n, &byte)| byte == n as u8), "{parts:?}");
        }
    }
}
