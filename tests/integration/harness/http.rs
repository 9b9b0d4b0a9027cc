//! A small HTTP/1.1 client that shows what a web server really sent: it never
//! hides a cut answer, and it can stop reading or sending anywhere.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::wait::DEADLINE;

/// A request, being put together.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    /// Any method. The target goes out as it is, percent signs and all.
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: Body::None }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with this body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with a Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    /// A body in chunks, without a Content-Length.
    pub fn chunked(mut self, chunks: Vec<Vec<u8>>) -> Self {
        self.body = Body::Chunked(chunks);
        self
    }

    /// Sends it over a new connection and reads the whole answer.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the answer was cut short.
    pub fn send(&self, to: SocketAddr) -> io::Result<Response> {
        self.open(to)?.whole()
    }

    /// As [`Request::send`], but reads while it still sends: an answer that comes
    /// before the end of the body is not lost to a server that reads no more.
    pub fn converse(&self, to: SocketAddr) -> io::Result<Response> {
        let stream = self.connect(to)?;
        let mut sending = stream.try_clone()?;
        std::thread::scope(|scope| {
            // It ends with the connection, whether or not all was taken.
            scope.spawn(move || {
                let _ = self.send_all(&mut sending, to);
            });
            let answer = Response::read(stream.try_clone()?);
            let _ = stream.shutdown(Shutdown::Both);
            answer
        })
    }

    /// Sends it over a new connection and reads the answer's head; the body can
    /// then be read from what is returned.
    pub fn open(&self, to: SocketAddr) -> io::Result<Answer> {
        Answer::read(self.start(to)?, self.method == "HEAD")
    }

    /// Sends it over a new connection and reads nothing.
    pub fn start(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = self.connect(to)?;
        // A server may answer, and stop reading, before it has the whole body.
        match self.send_all(&mut stream, to) {
            Err(e)
                if !matches!(
                    e.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Err(e)
            }
            _ => Ok(stream),
        }
    }

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    fn send_all(&self, stream: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        stream.write_all(self.head(to).as_bytes())?;
        self.send_body(stream)
    }

    /// The head as it goes out.
    pub fn head(&self, to: SocketAddr) -> String {
        let Self { method, target, .. } = self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head += &format!("Host: {to}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            Body::None => {}
            Body::Sized(body) => head += &format!("Content-Length: {}\r\n", body.len()),
            Body::Chunked(_) => head += "Transfer-Encoding: chunked\r\n",
        }
        head + "\r\n"
    }

    fn send_body(&self, stream: &mut TcpStream) -> io::Result<()> {
        match &self.body {
            Body::None => Ok(()),
            Body::Sized(body) => stream.write_all(body),
            Body::Chunked(chunks) => {
                for chunk in chunks {
                    stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")
            }
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Reads the answer to a request that was no HEAD, whole.
    pub fn read(stream: TcpStream) -> io::Result<Self> {
        Answer::read(stream, false)?.whole()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All headers of this name.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        find(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, of an answer that must be a 200.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// An answer whose head has been read. Reading it gives the body; a body that
/// ends too early is an error.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
    framing: Framing,
}

enum Framing {
    /// That many bytes are left.
    Length(u64),
    /// That many bytes of this chunk are left; 0 before a chunk's size.
    Chunked(u64),
    UntilClose,
    Ended,
}

impl Answer {
    fn read(stream: TcpStream, is_head: bool) -> io::Result<Self> {
        let mut stream = BufReader::with_capacity(1 << 16, stream);
        let status_line = line(&mut stream)?;
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| bad(&format!("status line {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut stream)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let length = find(&headers, "Content-Length").next().map(str::parse);
        let framing = if is_head || status == 204 || status == 304 {
            // Nothing may follow; `read` looks that nothing does.
            Framing::Length(0)
        } else if find(&headers, "Transfer-Encoding").any(|v| v.eq_ignore_ascii_case("chunked")) {
            Framing::Chunked(0)
        } else if let Some(length) = length {
            Framing::Length(length.map_err(|_| bad("Content-Length"))?)
        } else {
            Framing::UntilClose
        };
        Ok(Self { status, headers, stream, framing })
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name).next()
    }

    /// Reads the rest.
    fn whole(mut self) -> io::Result<Response> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(Response { status: self.status, headers: self.headers, body })
    }

    /// Reads one line of the body, waiting for it if need be.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte)? == 1 {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                break;
            }
        }
        String::from_utf8(line).map_err(|_| bad("not UTF-8"))
    }

    /// Goes away as a browser does whose user has closed the page.
    pub fn hang_up(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = match self.framing {
            Framing::Ended => return Ok(0),
            Framing::UntilClose => u64::MAX,
            Framing::Length(0) => {
                // The request said `Connection: close`, so the end must follow.
                self.framing = Framing::Ended;
                return match self.stream.fill_buf()? {
                    [] => Ok(0),
                    _ => Err(bad("bytes after the end of the answer")),
                };
            }
            Framing::Length(left) => left,
            Framing::Chunked(0) => {
                let size = line(&mut self.stream)?;
                let size = u64::from_str_radix(&size, 16).map_err(|_| bad(&size))?;
                if size == 0 {
                    line(&mut self.stream)?;
                    self.framing = Framing::Ended;
                    return Ok(0);
                }
                self.framing = Framing::Chunked(size);
                size
            }
            Framing::Chunked(left) => left,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..limit])?;
        match &mut self.framing {
            Framing::Length(left) | Framing::Chunked(left) if read == 0 => {
                Err(cut(&format!("the answer ends early, {left} bytes before its end")))
            }
            Framing::Length(left) => {
                *left -= read as u64;
                Ok(read)
            }
            Framing::Chunked(left) => {
                *left -= read as u64;
                if *left == 0 {
                    line(&mut self.stream)?;
                }
                Ok(read)
            }
            Framing::UntilClose | Framing::Ended => Ok(read),
        }
    }
}

/// Whether an answer ended in this error because the server cut it short.
pub fn is_cut(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => String::from_utf8(line.to_vec()).map_err(|_| bad("not UTF-8")),
        None => Err(cut(&format!("the answer ends in a line: {line:?}"))),
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    let name = name.to_owned();
    headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(&name)).map(|(_, v)| v.as_str())
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn cut(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}
