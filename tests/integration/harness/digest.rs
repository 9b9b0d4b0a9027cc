//! SHA-256 by coreutils: an independent implementation, and fast in a debug build.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

/// The SHA-256 of everything that `source` gives, as 64 hex digits, and how
/// many bytes that was.
pub fn sha256(source: &mut dyn Read) -> io::Result<(String, u64)> {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut sink = child.stdin.take().unwrap();
    let copied = copy(source, &mut sink);
    drop(sink);
    let output = child.wait_with_output()?;
    Ok((String::from_utf8_lossy(&output.stdout)[..64].to_owned(), copied?))
}

fn copy(source: &mut dyn Read, sink: &mut dyn Write) -> io::Result<u64> {
    let mut block = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(length),
            Ok(n) => {
                sink.write_all(&block[..n])?;
                length += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Block `number` of a large body: 64 KiB, one numbered line of 16 bytes over
/// and over. `answers.py`'s download is made of the same.
pub fn block(number: u64) -> Vec<u8> {
    format!("{number:015}\n").repeat(4096).into_bytes()
}

/// The first `count` blocks in one piece.
pub fn blocks(count: u64) -> Vec<u8> {
    (0..count).flat_map(block).collect()
}

/// The first `count` blocks, made one at a time while they are read.
pub struct Blocks {
    left: std::ops::Range<u64>,
    current: io::Cursor<Vec<u8>>,
}

impl Blocks {
    /// Blocks 0 to `count` - 1.
    pub fn new(count: u64) -> Self {
        Self { left: 0..count, current: io::Cursor::default() }
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.current.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        match self.left.next() {
            Some(number) => {
                self.current = io::Cursor::new(block(number));
                self.current.read(buffer)
            }
            None => Ok(0),
        }
    }
}
