//! What can be wrong with a configuration. The texts follow the name of the key.

use std::path::PathBuf;

use thiserror::Error;

use super::address::{Address, AddressError};
use super::allow::{Allow, AllowError};
use super::check::{MAX_APPS, MAX_LISTENERS};
use super::otlp::OtlpError;
use crate::observe::access::FormatError;

/// What is wrong, and what to do.
#[derive(Debug, Error)]
pub enum Mistake {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// It is no TOML, or a value is of another kind.
    #[error("{0}")]
    Syntax(String),
    /// A key that does not exist.
    #[error("there is no key {key} here{hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// A word that is none of those that can stand there.
    #[error("{word:?}: this is none of {all}{hint}")]
    UnknownWord {
        /// The word.
        word: String,
        /// Those that can.
        all: String,
        /// What may have been meant.
        hint: String,
    },
    /// A key that must be there.
    #[error("{0} is missing; {1}")]
    Missing(&'static str, &'static str),
    /// There is no app.
    #[error("no app is configured; write a section such as [apps.shop] with app = \"shop.wsgi\"")]
    NoApps,
    /// There are too many apps.
    #[error("{0} apps are configured; at most {MAX_APPS} can be")]
    Apps(usize),
    /// The name of an app.
    #[error("{0:?}: the name of an app is made of letters, digits, - and _")]
    AppName(String),
    /// An address that is none.
    #[error("{text:?}: {error}")]
    Address {
        /// What was written.
        text: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// The same address twice.
    #[error("{0}: this address is given twice; each address can speak one protocol")]
    Twice(Address),
    /// An address at which the status can't be told.
    #[error("has an address of its own, unix:/path or HOST:PORT")]
    StatusAddress,
    /// The status for everybody who can reach it.
    #[error(
        "{0} can be reached from elsewhere; listen on a loopback address such as 127.0.0.1, or say \
         in status-allow (--status-allow) who may ask"
    )]
    StatusOpen(Address),
    /// Rules for what is not told.
    #[error("is of no use without status")]
    StatusAllow,
    /// The status of several gateways.
    /// More addresses than sockets that can be passed.
    #[error("{0} addresses are given; at most {MAX_LISTENERS} can be")]
    Listeners(usize),
    /// A listener with both protocols, or with none.
    #[error(
        "a listener has either fastcgi = ADDR or scgi = ADDR; write one section for each address"
    )]
    OneProtocol,
    /// A key of unix sockets elsewhere.
    #[error("is only for unix sockets that flupd makes; remove it")]
    NotUnix,
    /// A rule of who may connect that is none.
    #[error("{text:?}: {error}")]
    Allow {
        /// What was written.
        text: String,
        /// What is wrong with it.
        error: AllowError,
    },
    /// A rule of who may connect, for the other kind of address.
    #[error(
        "{0} is about the other kind of address; networks are for TCP, uid: and gid: for unix \
         sockets"
    )]
    AllowOther(Allow),
    /// What the environment says of who may connect.
    #[error("FCGI_WEB_SERVER_ADDRS {text:?}: {error}")]
    WebServers {
        /// One entry of the list.
        text: String,
        /// What is wrong with it.
        error: AllowError,
    },
    /// A listener for an app that is not there.
    #[error("{name:?}: there is no app of this name{hint}")]
    NoSuchApp {
        /// The name.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// An app whose requests come in nowhere.
    #[error("no listener is for this app; all listeners name others in their apps")]
    Unreachable,
    /// A listener that nobody hears.
    #[error("no app is left for this listener; name some in its apps")]
    Deaf,
    /// Two apps for the same requests.
    #[error(
        "has the same requests as the app {other} ({what}) behind {address}; give them different \
         host or prefix, or a listener of their own"
    )]
    SameRequests {
        /// The other app.
        other: String,
        /// Host and path.
        what: String,
        /// The listener.
        address: Address,
    },
    /// A value is empty.
    #[error("is empty; {0}")]
    Empty(&'static str),
    /// Text that can't go into a path or a param.
    #[error("holds a NUL byte; remove it")]
    NulByte,
    /// A number out of its range.
    #[error("{value}: write a number from {least} to {most}")]
    Range {
        /// What was written.
        value: i64,
        /// The least that can be.
        least: i64,
        /// The most that can be.
        most: i64,
    },
    /// The least number of workers is over the most.
    #[error("{min}..{max}: the least is more than the most; write the smaller number first")]
    Workers {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// Workers that are kept, where none is.
    #[error("is for apps that keep a worker; on demand there may be none: write a least of 1")]
    SpareOfNone,
    /// A directory that can't be used.
    #[error("{}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A path of URLs that is none.
    #[error("{0:?}: a mount point begins with a slash, such as /shop; write / for the root")]
    MountPoint(String),
    /// A path to ask for that is none.
    #[error("{0:?}: write a path as a client does, such as /healthz: a slash in front, no spaces")]
    ProbePath(String),
    /// A share of the requests that is none.
    #[error("{0:?}: {1}")]
    Share(String, String),
    /// A Host header that is none.
    #[error("{0:?}: write a name or an address, with a port if the app wants to see one")]
    ProbeHost(String),
    /// A host name that is none.
    #[error("{0:?}: a host is a name without port, such as example.org, or *.example.org")]
    Host(String),
    /// The name of an environment variable.
    #[error("{0:?}: a variable's name is not empty and has no = and no NUL byte in it")]
    Variable(String),
    /// `max-params` out of its range.
    #[error("{0}: the limit on params is at least 1M and at most 1G")]
    Params(u64),
    /// `max-body` over what an offset in a file can be.
    #[error("{0}: a body has at most 8388608G")]
    Body(u64),
    /// `max-memory` below what any worker has.
    #[error("{0}: a worker needs at least 16M")]
    Memory(u64),
    /// Two keys that exclude each other.
    #[error("can't be used with {0}; {1}")]
    Conflict(&'static str, &'static str),
    /// A key that says something about another one, which is not there.
    #[error("does nothing without {0}; add that, or remove this")]
    Alone(&'static str),
    /// A format of the access log.
    #[error("can't be used: {0}")]
    Format(FormatError),
    /// An export of spans.
    #[error("{0}")]
    Otlp(OtlpError),
    /// Solo mode for one of several apps.
    #[error("is for a flupd with one app, and this one has several; run it alone in another flupd")]
    SoloOfSeveral,
    /// More than the message to the gateway holds.
    #[error("all apps and listeners together are too long, they may have 64 KiB; run two flupd")]
    TooLarge,
    /// Nobody said who an app runs as.
    #[error(
        "is missing: flupd was started as root; name the user that the app shall run as, or \
         root if it must be"
    )]
    NoUser,
    /// The gateway's user is not there.
    #[error(
        "is missing: flupd was started as root, and there is no user nobody on this \
         system; name one"
    )]
    NoNobody,
    /// A user that the system does not know.
    #[error("{0:?}: there is no such user on this system; name one that exists, or a number")]
    UnknownUser(String),
    /// A group that the system does not know.
    #[error("{0:?}: there is no such group on this system; name one that exists, or a number")]
    UnknownGroup(String),
    /// A user without a group.
    #[error("{0:?}: the system does not know the group of this user; name one with group")]
    NoGroup(String),
    /// A group without a user.
    #[error("needs a user beside it; name both, or the user alone")]
    GroupAlone,
    /// Another user can't be had.
    #[error(
        "{0:?}: only root can run a process as someone else; start flupd as root, or remove this"
    )]
    NotRoot(String),
    /// A bound over the one that flupd has.
    #[error(
        "this is more than the {most} that flupd itself may have; write less, or start it as root"
    )]
    Bound {
        /// The most that can be.
        most: u64,
    },
    /// `rlimit-nofile` is too low.
    #[error("{0}: a worker needs at least 64 open files")]
    FewFiles(u64),
    /// The current directory has gone.
    #[error("the current directory can't be read: {0}; enter one that exists")]
    CurrentDirectory(std::io::Error),
}
