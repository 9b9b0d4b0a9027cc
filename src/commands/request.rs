//! `flupd request`: one request to a FastCGI or SCGI server without a web server
//! between, with curl's habits and exit statuses.

mod answer;
mod connection;
mod params;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, UNIX_EPOCH};

use bytes::BytesMut;
use cgi::Params;
use fastcgi_server::client::{Decoder, Event, Outcome};
use fastcgi_server::{ProtocolStatus, client as fastcgi};
use scgi_server::client as scgi;
use thiserror::Error;

use self::answer::{Answer, Ending};
use self::connection::Connection;
use self::params::{ParamsError, params};
use crate::cli::RequestArgs;
use crate::config::Role;
use crate::config::address::{Address, AddressError};

/// The request id that web servers use who send one request at a time.
const ID: u16 = 1;
/// How much is read at once.
const READ: usize = 64 * 1024;

/// Why there is no whole answer, or a bad one.
#[derive(Debug, Error)]
enum Failure {
    #[error("ADDR {0:?}: {1}")]
    Address(String, AddressError),
    #[error("ADDR {0:?}: a request needs unix:/path or HOST:PORT")]
    NoPeer(String),
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error("-d @{0}: {1}")]
    Data(String, io::Error),
    #[error("--file {path}: {1}", path = .0.display())]
    File(PathBuf, io::Error),
    #[error("can't connect to {0}: {1}")]
    Connect(Address, io::Error),
    #[error("no whole answer came in time (see --timeout)")]
    TimedOut,
    #[error("the answer was cut: {0}")]
    Cut(String),
    #[error("the answer breaks the protocol: {0}")]
    Broken(String),
    #[error("the server refused the request: {0}")]
    Refused(&'static str),
    #[error("can't write the answer: {0}")]
    Output(io::Error),
    #[error("the answer has status {0}")]
    Status(u16),
}

impl Failure {
    /// curl's exit status for it.
    const fn exit_status(&self) -> u8 {
        match self {
            Self::Broken(_) | Self::Refused(_) => 1,
            Self::Address(..) | Self::NoPeer(_) | Self::Params(_) => 2,
            Self::Connect(..) => 7,
            Self::Cut(_) => 18,
            Self::Status(_) => 22,
            Self::Output(_) => 23,
            Self::Data(..) | Self::File(..) => 26,
            Self::TimedOut => 28,
        }
    }
}

/// Sends one request; the answer's body goes to standard output.
pub fn run(args: &RequestArgs) -> ExitCode {
    match exchange(args, io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // curl is silent about a status that the body tells as well.
            if !matches!(failure, Failure::Status(_)) {
                let _ = writeln!(io::stderr(), "flupd request: {failure}");
            }
            ExitCode::from(failure.exit_status())
        }
    }
}

fn exchange(args: &RequestArgs, out: impl Write) -> Result<(), Failure> {
    let address: Address =
        args.addr.parse().map_err(|error| Failure::Address(args.addr.clone(), error))?;
    if matches!(address, Address::Fd(_) | Address::Systemd) {
        return Err(Failure::NoPeer(args.addr.clone()));
    }
    let body = body(&args.data)?;
    let file = args.file.as_deref().map(File::read).transpose()?;
    let mut params = params(args, &address, body.as_ref().map(Vec::len))?;
    if let Some(file) = &file {
        params.push(b"FCGI_DATA_LENGTH", file.bytes.len().to_string().as_bytes());
        params.push(b"FCGI_DATA_LAST_MOD", file.modified.to_string().as_bytes());
    }
    let is_head = params.get(b"REQUEST_METHOD") == Some(b"HEAD");
    let message = match args.scgi {
        true => encode_scgi(&params, body.as_deref().unwrap_or_default()),
        false => encode_fastcgi(args.role, &params, body.as_deref(), file),
    };
    drop(body);

    let deadline = Instant::now() + args.timeout;
    let connect = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => Failure::TimedOut,
        _ => Failure::Connect(address.clone(), error),
    };
    let mut connection = Connection::open(&address, deadline).map_err(connect)?;
    let mut writer = connection.try_clone().map_err(connect)?;
    let mut answer = Answer::new(out, args.include, is_head);
    let result = std::thread::scope(|scope| {
        // A server may answer before it has read everything. One that closes
        // makes writing fail, and its answer tells why.
        scope.spawn(move || writer.write_all(&message));
        let result = match args.scgi {
            true => read_scgi(&mut connection, &mut answer),
            false => read_fastcgi(&mut connection, &mut answer),
        };
        connection.shutdown();
        result
    });
    result?;
    match answer.end() {
        Ending::Whole(status @ 400..) => Err(Failure::Status(status)),
        Ending::Whole(_) => Ok(()),
        Ending::NoHead => Err(Failure::Broken("it has no head".into())),
        Ending::Short { missing } => {
            Err(Failure::Cut(format!("{missing} bytes of its Content-Length are missing")))
        }
    }
}

/// The body of all `-d`, joined as form fields are.
fn body(data: &[String]) -> Result<Option<Vec<u8>>, Failure> {
    if data.is_empty() {
        return Ok(None);
    }
    let parts = data.iter().map(|part| {
        let Some(file) = part.strip_prefix('@') else { return Ok(part.clone().into_bytes()) };
        let read = match file {
            "-" => {
                let mut text = Vec::new();
                io::stdin().lock().read_to_end(&mut text).map(|_| text)
            }
            file => std::fs::read(file),
        };
        read.map_err(|error| Failure::Data(file.to_owned(), error))
    });
    Ok(Some(parts.collect::<Result<Vec<_>, _>>()?.join(&b'&')))
}

fn encode_scgi(params: &Params, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    scgi::request(&mut out, params, body.len() as u64);
    out.extend_from_slice(body);
    out
}

fn encode_fastcgi(
    role: Role,
    params: &Params,
    body: Option<&[u8]>,
    file: Option<File>,
) -> BytesMut {
    let mut out = BytesMut::new();
    fastcgi::begin(&mut out, ID, role.into(), false);
    fastcgi::params(&mut out, ID, params);
    // An Authorizer is sent no body (section 6.3).
    if role != Role::Authorizer {
        fastcgi::stdin(&mut out, ID, body.unwrap_or_default());
        fastcgi::stdin_end(&mut out, ID);
    }
    if role == Role::Filter {
        fastcgi::data(&mut out, ID, &file.map(|file| file.bytes).unwrap_or_default());
        fastcgi::data_end(&mut out, ID);
    }
    out
}

/// The file that a Filter works on (section 6.4).
struct File {
    bytes: Vec<u8>,
    /// Seconds since 1970.
    modified: u64,
}

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        let read = || {
            let modified = std::fs::metadata(path)?.modified()?;
            let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            Ok(Self { bytes: std::fs::read(path)?, modified })
        };
        read().map_err(|error| Failure::File(path.to_owned(), error))
    }
}

/// SCGI: the answer is all that comes until the connection ends.
fn read_scgi(connection: &mut impl Read, answer: &mut Answer<impl Write>) -> Result<(), Failure> {
    let mut buffer = vec![0; READ];
    loop {
        match read(connection, &mut buffer)? {
            [] => return Ok(()),
            bytes => take(answer, bytes)?,
        }
    }
}

/// FastCGI: the answer ends with END_REQUEST; a connection that ends before
/// has cut it (section 3.5).
fn read_fastcgi(
    connection: &mut impl Read,
    answer: &mut Answer<impl Write>,
) -> Result<(), Failure> {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        let mut bytes = read(connection, &mut buffer)?;
        if bytes.is_empty() {
            return Err(Failure::Cut("the connection was closed before END_REQUEST".into()));
        }
        loop {
            let decoded = decoder.decode(bytes);
            let (used, outcome) = decoded.map_err(|error| unreadable(error, answer.has_begun()))?;
            bytes = bytes.get(used..).unwrap_or_default();
            match outcome {
                Outcome::NeedMore => break,
                Outcome::Event(Event::Stdout { id: ID, bytes }) => take(answer, bytes)?,
                Outcome::Event(Event::Stderr { id: ID, bytes }) => {
                    // Not worth giving the answer up for.
                    let _ = io::stderr().write_all(bytes);
                }
                Outcome::Event(Event::End { id: ID, app_status, protocol_status }) => {
                    return end(app_status, protocol_status);
                }
                Outcome::Event(other) => {
                    let what = format!("nobody asked for this: {other:?}");
                    return Err(match answer.has_begun() {
                        true => Failure::Cut(what),
                        false => Failure::Broken(what),
                    });
                }
            }
        }
    }
}

/// What it is to the client that the server no longer speaks FastCGI.
fn unreadable(error: fastcgi_server::Error, begun: bool) -> Failure {
    match error {
        _ if !begun => Failure::Broken(error.to_string()),
        // So flupd ends what it can't complete (fastcgi_server::encode::cut).
        fastcgi_server::Error::Version { got: 0 } => {
            Failure::Cut("the server gave it up, with a record of version 0".into())
        }
        _ => Failure::Cut(error.to_string()),
    }
}

fn end(app_status: u32, protocol_status: ProtocolStatus) -> Result<(), Failure> {
    if app_status != 0 {
        let _ = writeln!(io::stderr(), "flupd request: the app ended with status {app_status}");
    }
    Err(Failure::Refused(match protocol_status {
        ProtocolStatus::RequestComplete => return Ok(()),
        ProtocolStatus::CantMpxConn => "it takes one request at a time (CANT_MPX_CONN)",
        ProtocolStatus::Overloaded => "it is overloaded (OVERLOADED)",
        ProtocolStatus::UnknownRole => "it does not play this role (UNKNOWN_ROLE)",
    }))
}

fn read<'b>(connection: &mut impl Read, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure> {
    loop {
        match connection.read(buffer) {
            Ok(length) => return Ok(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Failure::TimedOut),
            Err(error) => return Err(Failure::Cut(error.to_string())),
        }
    }
}

fn take(answer: &mut Answer<impl Write>, bytes: &[u8]) -> Result<(), Failure> {
    answer.take(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::Broken(error.to_string()),
        _ => Failure::Output(error),
    })
}

#[cfg(test)]
mod tests;
