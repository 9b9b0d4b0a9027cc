//! The addresses that a user writes: where to listen, and where to connect.

use std::fmt;
use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The longest path of a unix socket, in bytes: `sun_path` holds 108, one of
/// them the closing NUL.
pub const MAX_UNIX_PATH: usize = 107;

/// One address as the user wrote it, understood but not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `unix:/path`, or any path with a `/` in it.
    Unix(PathBuf),
    /// `HOST:PORT` or `[v6]:PORT`; the host without brackets.
    Tcp {
        /// A name or an IP address.
        host: String,
        /// 0 lets the kernel choose.
        port: u16,
    },
    /// `fd:N`: a listening socket that this process was started with.
    Fd(RawFd),
    /// `systemd`: every socket of `LISTEN_FDS`.
    Systemd,
}

/// Why a text is no address, and what to write instead.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// None of the known forms.
    #[error("not an address; write unix:/path, HOST:PORT, [V6]:PORT, fd:N or systemd")]
    Unknown,
    /// `unix:` and nothing else.
    #[error("the path is missing; write unix:/path")]
    NoPath,
    /// A path that the kernel can't bind.
    #[error(
        "a unix socket's path has at most {MAX_UNIX_PATH} bytes, this one has {0}; use a shorter one"
    )]
    PathTooLong(usize),
    /// A NUL byte in a path.
    #[error("a path can't hold a NUL byte")]
    NulByte,
    /// `:9000`.
    #[error("the host is missing; write 127.0.0.1:PORT, or 0.0.0.0:PORT for every interface")]
    NoHost,
    /// The part after the last colon is not a port.
    #[error("{0:?} is not a port; write a number from 0 to 65535")]
    Port(String),
    /// More than one colon outside brackets.
    #[error("an IPv6 address is written in brackets: [::1]:PORT")]
    Brackets,
    /// Brackets around something else.
    #[error("{0:?} is not an IPv6 address")]
    Ipv6(String),
    /// `fd:` without a number.
    #[error("{0:?} is not a descriptor number; write fd:0 for a socket on standard input")]
    Fd(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            let fd = number.parse().ok().filter(|fd| *fd >= 0);
            return fd.map(Self::Fd).ok_or_else(|| AddressError::Fd(number.to_owned()));
        }
        if text.contains('/') {
            return unix(text);
        }
        tcp(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Systemd => f.write_str("systemd"),
        }
    }
}

fn unix(path: &str) -> Result<Address, AddressError> {
    match path.len() {
        0 => Err(AddressError::NoPath),
        long if long > MAX_UNIX_PATH => Err(AddressError::PathTooLong(long)),
        _ if path.contains('\0') => Err(AddressError::NulByte),
        _ => Ok(Address::Unix(path.into())),
    }
}

fn tcp(text: &str) -> Result<Address, AddressError> {
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::Unknown)?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) if v6.parse::<Ipv6Addr>().is_err() => {
            return Err(AddressError::Ipv6(v6.to_owned()));
        }
        Some(v6) => v6,
        None if host.contains(':') => return Err(AddressError::Brackets),
        None if host.is_empty() => return Err(AddressError::NoHost),
        None => host,
    };
    // `u16::from_str` takes "+80"; a port is digits.
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port =
        port.parse().ok().filter(|_| digits).ok_or_else(|| AddressError::Port(port.into()))?;
    Ok(Address::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood_and_shown_again() {
        let table = [
            ("unix:/run/a.sock", Address::Unix("/run/a.sock".into()), "unix:/run/a.sock"),
            ("unix:a.sock", Address::Unix("a.sock".into()), "unix:a.sock"),
            ("./a.sock", Address::Unix("./a.sock".into()), "unix:./a.sock"),
            ("/a:9000", Address::Unix("/a:9000".into()), "unix:/a:9000"),
            ("127.0.0.1:9000", tcp("127.0.0.1", 9000), "127.0.0.1:9000"),
            ("localhost:0", tcp("localhost", 0), "localhost:0"),
            ("[::1]:9000", tcp("::1", 9000), "[::1]:9000"),
            ("fd:0", Address::Fd(0), "fd:0"),
            ("systemd", Address::Systemd, "systemd"),
        ];
        for (text, address, shown) in table {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), shown);
        }
        fn tcp(host: &str, port: u16) -> Address {
            Address::Tcp { host: host.into(), port }
        }
    }

    #[test]
    fn every_mistake_has_its_own_error() {
        let table = [
            ("", AddressError::Unknown),
            ("9000", AddressError::Unknown),
            ("unix:", AddressError::NoPath),
            ("unix:a\0b", AddressError::NulByte),
            (":9000", AddressError::NoHost),
            ("localhost:", AddressError::Port("".into())),
            ("localhost:+80", AddressError::Port("+80".into())),
            ("localhost:65536", AddressError::Port("65536".into())),
            ("::1:9000", AddressError::Brackets),
            ("[localhost]:9000", AddressError::Ipv6("localhost".into())),
            ("fd:", AddressError::Fd("".into())),
            ("fd:-1", AddressError::Fd("-1".into())),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_bounded_as_the_kernel_bounds_it() {
        let fits = format!("/{}", "a".repeat(MAX_UNIX_PATH - 1));
        assert!(fits.parse::<Address>().is_ok());
        assert_eq!(format!("{fits}a").parse::<Address>(), Err(AddressError::PathTooLong(108)));
    }
}
