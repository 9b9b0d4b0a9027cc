//! A request body to be read by position: in memory of our own, in memory that is
//! shared with the gateway, or in a file.
//!
//! The file's own offset is never used: a body that is given to a second worker
//! shares it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use flupd_channel::worker::{Body, SharedBody};
use memchr::memchr;

use crate::raw::Unfilled;

/// How much of a file is looked at in one go for the end of a line.
const WINDOW: usize = 32 * 1024;

/// The bytes of a body.
pub(crate) enum Source {
    Memory(Vec<u8>),
    Stored {
        store: Store,
        length: u64,
        /// What was read last in search of a line's end.
        window: Mutex<Window>,
    },
}

/// Where a large body is.
pub(crate) enum Store {
    Shared(SharedBody),
    File(File),
}

#[derive(Default)]
pub(crate) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl From<Body> for Source {
    fn from(body: Body) -> Self {
        let (length, store) = match body {
            Body::Memory(bytes) => return Self::Memory(bytes),
            Body::Shared(body) => (body.len() as u64, Store::Shared(body)),
            Body::File { file, length } => (length, Store::File(file)),
        };
        Self::Stored { store, length, window: Mutex::default() }
    }
}

impl Source {
    pub(crate) const fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stored { length, .. } => *length,
        }
    }

    /// Whether others have it, too, so that it may change after the request; and
    /// whether reading may wait for a disk.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Stored { .. })
    }

    /// The bytes from `at` on, if they needn't be read.
    pub(crate) fn held<T>(
        &self,
        at: u64,
        length: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        match self {
            Self::Memory(bytes) => slice(bytes, at, length).map(take),
            Self::Stored { window, .. } => {
                let window = window.try_lock().ok()?;
                slice(&window.bytes, at.checked_sub(window.at)?, length).map(take)
            }
        }
    }

    /// Fills `out` with the bytes from `at` on, of which [`Source::held`] has
    /// none.
    pub(crate) fn read(&self, at: u64, out: &mut Unfilled<'_>) -> io::Result<()> {
        match self {
            Self::Memory(_) => Err(short()),
            Self::Stored { store: Store::Shared(body), .. } => out.copy(body, at),
            Self::Stored { store: Store::File(file), .. } => out.read(file, at),
        }
    }

    /// The length of the line that begins at `at`, its end included, or `limit`
    /// if it is longer. 0 at the end of the body.
    pub(crate) fn line_length(&self, at: u64, limit: u64) -> io::Result<u64> {
        let limit = limit.min(self.length().saturating_sub(at));
        match self {
            Self::Memory(bytes) => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let rest = slice(bytes, at, limit).ok_or_else(short)?;
                Ok(memchr(b'\n', rest).map_or(rest.len(), |end| end + 1) as u64)
            }
            Self::Stored { store, length, window } => {
                let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
                let mut seen = 0;
                while seen < limit {
                    let part = window.from(store, at + seen, *length)?;
                    if let Some(end) = memchr(b'\n', part) {
                        seen += end as u64 + 1;
                        break;
                    }
                    seen += part.len() as u64;
                }
                Ok(seen.min(limit))
            }
        }
    }
}

impl Store {
    fn append_to(&self, at: u64, length: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Shared(body) => body.append_to(at, length, out).then_some(()).ok_or_else(short),
            Self::File(file) => {
                out.resize(length, 0);
                file.read_exact_at(out, at).inspect_err(|_| out.clear())
            }
        }
    }
}

impl Window {
    /// What is known of the file from `at` on: at least one byte.
    fn from(&mut self, store: &Store, at: u64, length: u64) -> io::Result<&[u8]> {
        let end = self.at + self.bytes.len() as u64;
        if !(self.at..end).contains(&at) {
            let size = usize::try_from(length - at).unwrap_or(WINDOW).min(WINDOW);
            self.bytes.clear();
            self.at = at;
            store.append_to(at, size, &mut self.bytes)?;
        }
        let start = usize::try_from(at - self.at).map_err(|_| short())?;
        self.bytes.get(start..).ok_or_else(short)
    }
}

fn slice(bytes: &[u8], at: u64, length: usize) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(length)?)
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the request body is shorter than announced")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The same body in memory and in a file whose own offset is at its end.
    fn both(bytes: &[u8]) -> [Source; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let length = bytes.len() as u64;
        [Body::Memory(bytes.to_vec()).into(), Body::File { file, length }.into()]
    }

    #[test]
    fn what_is_in_memory_is_held() {
        let [memory, file] = both(b"hello world");
        assert_eq!(memory.held(6, 5, <[u8]>::to_vec), Some(b"world".to_vec()));
        assert_eq!(memory.held(7, 5, <[u8]>::to_vec), None);
        assert_eq!(file.held(6, 5, <[u8]>::to_vec), None);
        file.line_length(2, u64::MAX).unwrap();
        assert_eq!(file.held(6, 5, <[u8]>::to_vec), Some(b"world".to_vec()));
        assert_eq!(file.held(1, 5, <[u8]>::to_vec), None);
        assert_eq!(file.held(7, 5, <[u8]>::to_vec), None);
    }

    #[test]
    fn finds_the_ends_of_lines() {
        let long = [vec![b'x'; 3 * WINDOW], b"\nlast".to_vec()].concat();
        let body = [b"a\n\nbcd\n".as_slice(), &long].concat();
        for source in both(&body) {
            let mut at = 0;
            let mut lengths = Vec::new();
            loop {
                let length = source.line_length(at, u64::MAX).unwrap();
                if length == 0 {
                    break;
                }
                lengths.push(length);
                let line = &body[at as usize..(at + length) as usize];
                let held = source.held(at, line.len(), |held| held == line);
                assert!(held.unwrap_or(true));
                at += length;
            }
            assert_eq!(lengths, [2, 1, 4, 3 * WINDOW as u64 + 1, 4]);
            assert_eq!(source.line_length(3, 2).unwrap(), 2);
            assert_eq!(source.line_length(0, 2).unwrap(), 2);
            assert_eq!(source.line_length(0, 0).unwrap(), 0);
        }
    }
}
