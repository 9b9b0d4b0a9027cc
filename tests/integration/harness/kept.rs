//! A client with one connection to a web server that it keeps: fast enough to send
//! a hundred thousand requests, and exact about each answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wait;

/// The client. It connects anew only where the web server has said `close`.
pub struct Kept {
    to: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Kept {
    /// Not connected yet.
    pub fn new(to: SocketAddr) -> Self {
        Self { to, stream: None, buffer: Vec::new() }
    }

    /// The body of a 200.
    ///
    /// # Errors
    /// Anything else: another status, no answer, or less than was promised.
    pub fn get(&mut self, target: &str) -> io::Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.to)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(wait::DEADLINE))?;
                stream
            }
        };
        write!(&stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        self.buffer.clear();
        let (mut chunk, mut head) = ([0; 4096], None);
        loop {
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err(self.wrong("the connection ended"));
            }
            self.buffer.extend_from_slice(&chunk[..read]);
            head = head.or_else(|| self.head());
            let Some((length, whole)) = head else { continue };
            if self.buffer.len() < whole {
                continue;
            }
            let text = String::from_utf8_lossy(&self.buffer[..length]).to_ascii_lowercase();
            if !text.starts_with("http/1.1 200 ") || self.buffer.len() > whole {
                return Err(self.wrong("no answer with 200"));
            }
            if !text.contains("\r\nconnection: close") {
                self.stream = Some(stream);
            }
            return Ok(String::from_utf8_lossy(&self.buffer[length..]).into_owned());
        }
    }

    /// How long the head is, and the whole answer, once the head is there.
    fn head(&self) -> Option<(usize, usize)> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = text.split("\r\ncontent-length: ").nth(1)?.split("\r\n").next()?.parse();
        Some((end, end + length.unwrap_or(0_usize)))
    }

    fn wrong(&self, what: &str) -> io::Error {
        io::Error::other(format!("{what}: {:?}", String::from_utf8_lossy(&self.buffer)))
    }
}
