//! A request body: in memory up to a bound, the rest in an unnamed file.

use std::fs::File;
use std::io::{self, Write};

use flupd_channel::gateway::Body;

/// Collects a body. The disk is only touched on a thread for such work, so a
/// slow disk holds up no other connection.
#[derive(Debug)]
pub(super) struct Spool {
    memory: Vec<u8>,
    bound: usize,
    file: Option<File>,
    length: u64,
}

impl Spool {
    /// An empty body that spills once it exceeds `bound` bytes.
    pub(super) const fn new(bound: usize) -> Self {
        Self { memory: Vec::new(), bound, file: None, length: 0 }
    }

    /// Bytes so far.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
    }

    /// Writes to disk what exceeds the bound.
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) async fn spill(&mut self) -> io::Result<()> {
        if self.memory.len() > self.bound { self.write_out().await } else { Ok(()) }
    }

    /// The whole body.
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) async fn finish(mut self) -> io::Result<Body> {
        if self.file.is_some() && !self.memory.is_empty() {
            self.write_out().await?;
        }
        Ok(match self.file {
            Some(file) => Body::File { file, length: self.length },
            None => Body::Memory(self.memory),
        })
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let mut memory = std::mem::take(&mut self.memory);
        let file = self.file.take();
        let written = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile()?,
            };
            file.write_all(&memory)?;
            memory.clear();
            Ok::<_, io::Error>((file, memory))
        });
        let (file, memory) = written.await.map_err(io::Error::other)??;
        self.file = Some(file);
        self.memory = memory;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[tokio::test]
    async fn a_small_body_stays_in_memory() {
        let mut spool = Spool::new(4);
        spool.push(b"1234");
        spool.spill().await.unwrap();
        assert!(matches!(spool.finish().await.unwrap(), Body::Memory(bytes) if bytes == b"1234"));
    }

    #[tokio::test]
    async fn a_large_body_is_a_file_with_every_byte_in_order() {
        let mut spool = Spool::new(4);
        for part in [&b"12345"[..], b"6", b"789ab", b"c"] {
            spool.push(part);
            spool.spill().await.unwrap();
        }
        let Body::File { mut file, length } = spool.finish().await.unwrap() else { panic!() };
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), length), ("123456789abc", 12));
    }
}
