//! What a program was started for: told by its standard input and its
//! environment.

use std::env;
use std::ffi::OsString;

use anyhow::bail;
use rustix::net::sockopt::socket_acceptconn;

use super::options::{Options, PASSED};

/// How a script is to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// By a supervisor, with workers or on addresses of its own.
    Supervised,
    /// By this process, on the listening socket that it was started with.
    Alone,
    /// One request, which is in the environment.
    Cgi,
    /// By the script's own server, if that has an address of its own.
    ByHand,
}

impl Start {
    /// # Errors
    /// When there is neither a socket nor a request, and flupd's own processes are
    /// asked for.
    pub(super) fn of(options: &Options) -> anyhow::Result<Self> {
        let serve = &options.serve;
        let mut addresses = serve.fastcgi.iter().chain(&serve.scgi);
        if !addresses.all(|address| address == PASSED) {
            return Ok(Self::Supervised);
        }
        let processes = match serve.solo {
            true => serve.workers.is_some_and(|workers| workers.max != Some(1)),
            false => serve.workers.is_some() || serve.threads.is_some() || serve.preload,
        };
        let several = processes || serve.status.is_some();
        match Self::here() {
            Some(Self::Alone) if several => Ok(Self::Supervised),
            Some(start) => Ok(start),
            None if several => bail!(nowhere(options)),
            None => Ok(Self::ByHand),
        }
    }

    /// Why a script without an address of its own can't be served.
    pub(super) fn nowhere(self, options: &Options) -> Option<String> {
        (self == Self::ByHand).then(|| nowhere(options))
    }

    /// What this process was started for, if it was by a web server.
    pub(super) fn here() -> Option<Self> {
        let listening = socket_acceptconn(rustix::stdio::stdin()).unwrap_or(false);
        told(listening, |name| env::var_os(name))
    }
}

fn nowhere(options: &Options) -> String {
    format!(
        "standard input is not a listening socket, and there is no CGI request in the environment. \
         A web server starts this program with one of them. To start it by hand, give it an \
         address: flupd run --fastcgi unix:./app.sock {}",
        options.script
    )
}

/// A listening socket is what FastCGI and SCGI programs are started with; without
/// one, a request method is what only CGI has (RFC 3875, section 4.1.12).
fn told(listening: bool, var: impl Fn(&str) -> Option<OsString>) -> Option<Start> {
    let forced =
        var("FCGI_FORCE_CGI").is_some_and(|value| value.as_encoded_bytes().starts_with(b"Y"));
    let request = var("REQUEST_METHOD").is_some() || var("GATEWAY_INTERFACE").is_some();
    match (listening, request) {
        (true, _) if !forced => Some(Start::Alone),
        (_, true) => Some(Start::Cgi),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_counts_more_than_the_environment() {
        let start = |listening, set: &[&str]| {
            told(listening, |name| set.contains(&name).then(|| OsString::from("Yes")))
        };
        assert_eq!(start(true, &[]), Some(Start::Alone));
        assert_eq!(start(true, &["REQUEST_METHOD"]), Some(Start::Alone));
        assert_eq!(start(true, &["REQUEST_METHOD", "FCGI_FORCE_CGI"]), Some(Start::Cgi));
        assert_eq!(start(false, &["GATEWAY_INTERFACE"]), Some(Start::Cgi));
        assert_eq!(start(false, &["REQUEST_METHOD"]), Some(Start::Cgi));
        assert_eq!(start(false, &[]), None);
        assert_eq!(start(true, &["FCGI_FORCE_CGI"]), None);
    }
}
