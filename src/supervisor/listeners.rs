//! The listening sockets: bound or taken over, and kept for as long as they are
//! configured, whatever happens to a gateway.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr, socket_acceptconn, socket_type};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use thiserror::Error;

use super::unix_socket::{BACKLOG, SocketPath, UnixError, listen_at};
use super::upgrade::Offer;
use crate::config::address::Address;
use crate::config::{Listen, ListenerConfig, Protocol, SocketConfig};
use crate::inherited;

/// The first descriptor that systemd passes (`SD_LISTEN_FDS_START`).
const FIRST_PASSED: RawFd = 3;

/// More sockets than this are a broken `LISTEN_FDS`.
const MAX_PASSED: RawFd = 64;

/// All sockets to listen on.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<Open>);

/// What one address has become.
#[derive(Debug)]
struct Open {
    listen: Listen,
    /// With the address for people: a host name can have several.
    sockets: Vec<(OwnedFd, String)>,
    /// What disappears with us.
    path: Option<Arc<SocketPath>>,
}

/// Why an address can't be listened on: which one, why, and what to do.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A unix socket.
    #[error("can't listen on unix:{path}: {error}")]
    Unix {
        /// The path.
        path: String,
        /// What is wrong.
        error: UnixError,
    },
    /// A host name that is none.
    #[error("can't look up the host of {address}: {error}")]
    Lookup {
        /// The address.
        address: Address,
        /// What is wrong.
        error: io::Error,
    },
    /// A TCP port that is taken.
    #[error("can't listen on {0}: another process listens there; stop it, or choose another port")]
    PortInUse(SocketAddr),
    /// A TCP port.
    #[error("can't listen on {address}: {error}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        error: io::Error,
    },
    /// A descriptor that is not open.
    #[error("{0}: no such descriptor is open; have the program that starts flupd pass one")]
    NotOpen(String),
    /// A descriptor that was not asked for when flupd was started.
    #[error(
        "{0}: sockets are taken over when flupd is started, not while it runs; stop it and start it \
         again"
    )]
    TooLate(String),
    /// A descriptor that is something else.
    #[error("{0}: this is not a listening stream socket; pass one that has been bound and listens")]
    NotListening(String),
    /// A descriptor that can't be used.
    #[error("{address}: {error}")]
    Inherited {
        /// The address.
        address: String,
        /// What is wrong.
        error: io::Error,
    },
    /// `systemd`, but nothing was passed.
    #[error(
        "systemd: no sockets were passed ({0}); start flupd from a .service with a .socket unit"
    )]
    NotActivated(String),
}

impl Listeners {
    /// Binds every address and takes over every inherited socket. To be called
    /// before the process opens descriptors of its own.
    pub(super) fn open(addresses: &[Listen]) -> Result<Self, ListenError> {
        Self::default().opened(addresses, true)
    }

    /// The same for other addresses. What is open already is shared with those
    /// here, which stay as they are.
    ///
    /// # Errors
    /// The address that can't be listened on.
    pub(super) fn reopen(&self, addresses: &[Listen]) -> Result<Self, ListenError> {
        self.opened(addresses, false)
    }

    /// `fresh` says whether nothing was opened before, so that a descriptor which
    /// is open was passed.
    fn opened(&self, addresses: &[Listen], fresh: bool) -> Result<Self, ListenError> {
        let mut all: Vec<Option<Open>> = addresses.iter().map(|_| None).collect();
        let is_inherited = |a: &Address| matches!(a, Address::Fd(_) | Address::Systemd);
        // Inherited numbers first, while none of them can be a socket of ours.
        for inherited in [true, false] {
            for (at, listen) in addresses.iter().enumerate() {
                if is_inherited(&listen.address) != inherited {
                    continue;
                }
                let open = match self.find(listen) {
                    Some(open) => open.share(listen)?,
                    None if inherited && !fresh => {
                        return Err(ListenError::TooLate(listen.address.to_string()));
                    }
                    None => Open::new(listen, &all)?,
                };
                if let Some(place) = all.get_mut(at) {
                    *place = Some(open);
                }
            }
        }
        Ok(Self(all.into_iter().flatten().collect()))
    }

    /// All that another flupd has to know of them, with another descriptor of each
    /// socket.
    ///
    /// # Errors
    /// What `dup(2)` reports.
    pub(super) fn offers(&self) -> io::Result<Vec<(Offer, Vec<OwnedFd>)>> {
        let offer = |open: &Open| {
            let sockets =
                open.sockets.iter().map(|(socket, _)| socket.as_fd().try_clone_to_owned());
            let offer = Offer {
                protocol: open.listen.protocol,
                address: open.listen.address.to_string(),
                names: open.sockets.iter().map(|(_, name)| name.clone()).collect(),
                made: open.path.as_deref().map(SocketPath::made),
            };
            Ok((offer, sockets.collect::<io::Result<_>>()?))
        };
        self.0.iter().map(offer).collect()
    }

    /// Another flupd offers these sockets: they are open, if they are asked for.
    pub(super) fn accept_offer(&mut self, offer: &Offer, sockets: Vec<OwnedFd>) {
        // An address that is not understood here can't be asked for.
        let Ok(address) = offer.address.parse() else { return };
        let socket = SocketConfig { mode: 0, owner: None, group: None };
        let listen = Listen {
            protocol: offer.protocol,
            address,
            socket,
            apps: Vec::new(),
            default: false,
            roles: Vec::new(),
            allow: Vec::new(),
        };
        let path = offer.made.clone().map(|made| Arc::new(SocketPath::offered(made)));
        let sockets = sockets.into_iter().zip(offer.names.iter().cloned()).collect();
        self.0.push(Open { listen, sockets, path });
    }

    /// Whether the files of unix sockets go with us, or stay.
    pub(super) fn own(&self, owned: bool) {
        self.0.iter().filter_map(|open| open.path.as_ref()).for_each(|path| path.own(owned));
    }

    fn find(&self, listen: &Listen) -> Option<&Open> {
        let same = |open: &&Open| {
            open.listen.address == listen.address && open.listen.protocol == listen.protocol
        };
        self.0.iter().find(same)
    }

    /// What the gateway has to know of them, in the order of
    /// [`Listeners::duplicate`].
    pub(super) fn configs(&self) -> Vec<ListenerConfig> {
        self.0.iter().flat_map(Open::configs).collect()
    }

    /// Another descriptor of each socket, to be passed.
    pub(super) fn duplicate(&self) -> io::Result<Vec<OwnedFd>> {
        self.without(&Self::default())
    }

    /// The same, but for those that were there before.
    pub(super) fn without(&self, before: &Self) -> io::Result<Vec<OwnedFd>> {
        self.some(before, |_| true)
    }

    /// Those of status listeners, but for those that were there before.
    pub(super) fn of_status(&self, before: &Self) -> io::Result<Vec<OwnedFd>> {
        self.some(before, |protocol| protocol == Protocol::Status)
    }

    /// Those of all others.
    pub(super) fn of_web_servers(&self) -> io::Result<Vec<OwnedFd>> {
        self.some(&Self::default(), |protocol| protocol != Protocol::Status)
    }

    fn some(&self, before: &Self, which: impl Fn(Protocol) -> bool) -> io::Result<Vec<OwnedFd>> {
        let new = self.0.iter().filter(|open| before.find(&open.listen).is_none());
        let sockets = new.filter(|open| which(open.listen.protocol)).flat_map(|open| &open.sockets);
        sockets.map(|(socket, _)| socket.as_fd().try_clone_to_owned()).collect()
    }
}

impl Open {
    /// Binds, or takes over what was inherited. `others` are open already.
    fn new(listen: &Listen, others: &[Option<Self>]) -> Result<Self, ListenError> {
        let address = &listen.address;
        let (mut sockets, mut path) = (Vec::new(), None);
        match address {
            Address::Fd(number) => {
                sockets.push(inherit(*number, address.to_string(), others, &[])?);
            }
            Address::Systemd => {
                for (number, name) in passed(|name| std::env::var(name).ok())? {
                    sockets.push(inherit(number, format!("systemd:{name}"), others, &sockets)?);
                }
            }
            Address::Unix(at) => {
                let (socket, made) = listen_at(at, &listen.socket)
                    .map_err(|error| ListenError::Unix { path: at.display().to_string(), error })?;
                path = Some(Arc::new(made));
                sockets.push((socket, address.to_string()));
            }
            Address::Tcp { host, port } => {
                let bound = tcp(address, host, *port)?;
                sockets.extend(bound.into_iter().map(|(socket, at)| (socket, at.to_string())));
            }
        }
        Ok(Self { listen: listen.clone(), sockets, path })
    }

    /// The same sockets, for what is configured there now.
    fn share(&self, listen: &Listen) -> Result<Self, ListenError> {
        let duplicate = |(socket, address): &(OwnedFd, String)| {
            let copy = socket.as_fd().try_clone_to_owned();
            let failed = |error| ListenError::Inherited { address: address.clone(), error };
            Ok((copy.map_err(failed)?, address.clone()))
        };
        let sockets = self.sockets.iter().map(duplicate).collect::<Result<_, _>>()?;
        Ok(Self { listen: listen.clone(), sockets, path: self.path.clone() })
    }

    fn configs(&self) -> impl Iterator<Item = ListenerConfig> {
        let Listen { protocol, apps, roles, allow, .. } = &self.listen;
        self.sockets.iter().map(|(_, address)| ListenerConfig {
            protocol: *protocol,
            address: address.clone(),
            apps: apps.clone(),
            roles: roles.clone(),
            allow: allow.clone(),
        })
    }
}

fn inherit(
    number: RawFd,
    address: String,
    others: &[Option<Open>],
    own: &[(OwnedFd, String)],
) -> Result<(OwnedFd, String), ListenError> {
    // `fd:3` beside `systemd` would own one descriptor twice.
    let others = others.iter().flatten().flat_map(|open| &open.sockets);
    if others.chain(own).any(|(socket, _)| socket.as_raw_fd() == number) {
        let error = io::Error::other("this descriptor is already listened on");
        return Err(ListenError::Inherited { address, error });
    }
    match inherited::take(number) {
        Ok(socket) if is_listening(&socket) => Ok((socket, address)),
        Ok(_) => Err(ListenError::NotListening(address)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => {
            Err(ListenError::NotOpen(address))
        }
        Err(error) => Err(ListenError::Inherited { address, error }),
    }
}

fn is_listening(socket: &OwnedFd) -> bool {
    socket_type(socket) == Ok(SocketType::STREAM) && socket_acceptconn(socket) == Ok(true)
}

/// Each socket that systemd passed, and its name (`sd_listen_fds_with_names(3)`).
fn passed(environ: impl Fn(&str) -> Option<String>) -> Result<Vec<(RawFd, String)>, ListenError> {
    let refuse = |why: String| Err(ListenError::NotActivated(why));
    let Some(pid) = environ("LISTEN_PID") else { return refuse("LISTEN_PID is not set".into()) };
    let own = std::process::id();
    if pid.parse() != Ok(own) {
        return refuse(format!("they are for process {pid}, this is process {own}"));
    }
    let count = environ("LISTEN_FDS").unwrap_or_default();
    let Some(count) = count.parse().ok().filter(|count| (1..=MAX_PASSED).contains(count)) else {
        return refuse(format!("LISTEN_FDS is {count:?}"));
    };
    let names = environ("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let numbers = FIRST_PASSED..FIRST_PASSED + count;
    Ok(numbers.map(|fd| (fd, names.next().map_or_else(|| fd.to_string(), str::to_owned))).collect())
}

/// Listens on every address of a host. A family that this machine does not have
/// is passed over as long as another one works.
fn tcp(
    address: &Address,
    host: &str,
    port: u16,
) -> Result<Vec<(OwnedFd, SocketAddr)>, ListenError> {
    let lookup = |error| ListenError::Lookup { address: address.clone(), error };
    let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(lookup)?.collect();
    found.sort_unstable();
    found.dedup();
    let mut bound = Vec::new();
    let mut missing = None;
    for address in found {
        match tcp_socket(address) {
            Ok(socket) => {
                let local = TcpListener::from(socket);
                let address = local.local_addr().unwrap_or(address);
                bound.push((local.into(), address));
            }
            Err(rustix::io::Errno::ADDRINUSE) => return Err(ListenError::PortInUse(address)),
            Err(errno @ (rustix::io::Errno::ADDRNOTAVAIL | rustix::io::Errno::AFNOSUPPORT)) => {
                missing = Some(ListenError::Tcp { address, error: errno.into() });
            }
            Err(errno) => return Err(ListenError::Tcp { address, error: errno.into() }),
        }
    }
    match (bound.is_empty(), missing) {
        (false, _) => Ok(bound),
        (true, Some(error)) => Err(error),
        (true, None) => Err(lookup(io::Error::other("it has no address"))),
    }
}

fn tcp_socket(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AppId, Protocol, SocketConfig};
    use std::os::fd::IntoRawFd;

    fn open(addresses: &[&str]) -> Result<Listeners, ListenError> {
        let listen = |text: &&str| Listen {
            protocol: Protocol::Fastcgi,
            address: text.parse().unwrap(),
            socket: SocketConfig { mode: 0o660, owner: None, group: None },
            apps: vec![AppId(0)],
            default: false,
            roles: Vec::new(),
            allow: Vec::new(),
        };
        Listeners::open(&addresses.iter().map(listen).collect::<Vec<_>>())
    }

    #[test]
    fn a_port_is_bound_once_and_named_truly() {
        let first = open(&["127.0.0.1:0"]).unwrap();
        let address = first.configs()[0].address.clone();
        assert_ne!(address, "127.0.0.1:0");
        std::net::TcpStream::connect(&address).unwrap();
        let error = open(&[&address]).unwrap_err();
        assert!(matches!(error, ListenError::PortInUse(_)), "{error}");
    }

    #[test]
    fn a_passed_on_duplicate_outlives_the_original() {
        let listeners = open(&["127.0.0.1:0"]).unwrap();
        let address = listeners.configs()[0].address.clone();
        let copies = listeners.duplicate().unwrap();
        drop(listeners);
        std::net::TcpStream::connect(&address).unwrap();
        drop(copies);
        // A child that another test has just forked may hold it for a moment.
        let refused = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::net::TcpStream::connect(&address).is_err()
        });
        assert!(refused);
    }

    #[test]
    fn an_inherited_socket_must_listen() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let number = OwnedFd::from(socket).into_raw_fd();
        let listeners = open(&[&format!("fd:{number}")]).unwrap();
        assert_eq!(listeners.configs()[0].address, format!("fd:{number}"));
        std::net::TcpStream::connect(address).unwrap();

        let (reader, _writer) = std::io::pipe().unwrap();
        let number = OwnedFd::from(reader).into_raw_fd();
        let error = open(&[&format!("fd:{number}")]).unwrap_err();
        assert!(matches!(error, ListenError::NotListening(_)), "{error}");
        assert!(matches!(open(&["fd:9999"]), Err(ListenError::NotOpen(_))));
    }

    #[test]
    fn systemd_passes_numbers_and_names() {
        let own = std::process::id().to_string();
        let environ = |pid: &str, count: &str, names: &str| {
            let table = [("LISTEN_PID", pid), ("LISTEN_FDS", count), ("LISTEN_FDNAMES", names)];
            let table = table.map(|(name, value)| (name.to_owned(), value.to_owned()));
            move |name: &str| {
                table.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            }
        };
        let both = passed(environ(&own, "2", "web.socket")).unwrap();
        assert_eq!(both, [(3, "web.socket".to_owned()), (4, "4".to_owned())]);
        for (pid, count) in [("1", "1"), (own.as_str(), "0"), (&own, "many"), (&own, "9999")] {
            assert!(passed(environ(pid, count, "")).is_err(), "{pid} {count}");
        }
        assert!(passed(|_| None).is_err());
    }

    #[test]
    fn a_name_without_address_is_said() {
        let error = open(&["no-such-host.invalid:80"]).unwrap_err();
        assert!(matches!(error, ListenError::Lookup { .. }), "{error}");
    }
}
