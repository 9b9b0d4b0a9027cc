//! The web servers in front of flupd, as one table that every case runs on.

use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;

use super::example::Example;
use super::flupd::{Flupd, Serve};
use super::http::{Request, Response};
use super::process::Process;
use super::{app, haproxy, lighttpd, nginx, ports, wait};

/// A web server and the way in which it speaks to flupd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// nginx, a FastCGI connection per request.
    NginxFastcgi,
    /// nginx, FastCGI connections kept open.
    NginxKeepConn,
    /// As [`Front::NginxKeepConn`], with flupd in solo mode.
    NginxSolo,
    /// nginx, FastCGI, uploads handed on while they come in.
    NginxUnbuffered,
    /// nginx, SCGI.
    NginxScgi,
    /// lighttpd, FastCGI.
    LighttpdFastcgi,
    /// lighttpd, SCGI.
    LighttpdScgi,
    /// HAProxy, FastCGI connections kept open, one request at a time on each.
    Haproxy,
    /// HAProxy, many requests at a time on a FastCGI connection.
    HaproxyMultiplexed,
}

impl Front {
    /// How many workers and threads to ask for, where a case needs several: in
    /// solo mode there are no threads.
    pub fn several(self, workers: &'static str, threads: &'static str) -> Vec<&'static str> {
        match self {
            Self::NginxSolo => vec!["--workers", workers],
            _ => vec!["--workers", workers, "--threads", threads],
        }
    }

    /// Whether it is nginx.
    pub fn is_nginx(self) -> bool {
        matches!(
            self,
            Self::NginxFastcgi
                | Self::NginxKeepConn
                | Self::NginxSolo
                | Self::NginxUnbuffered
                | Self::NginxScgi
        )
    }

    /// Whether it is lighttpd.
    pub fn is_lighttpd(self) -> bool {
        matches!(self, Self::LighttpdFastcgi | Self::LighttpdScgi)
    }

    /// Whether it is HAProxy.
    pub fn is_haproxy(self) -> bool {
        matches!(self, Self::Haproxy | Self::HaproxyMultiplexed)
    }

    /// Serves one of the test apps.
    pub fn serve(self, name: &str) -> Site {
        self.serve_with(Serve::app(&app(name)))
    }

    /// Serves with these settings; the socket is added here.
    pub fn serve_with(self, serve: Serve) -> Site {
        let serve = if self == Self::NginxSolo { serve.args(["--solo"]) } else { serve };
        let port = ports::free();
        let flupd = match self {
            Self::Haproxy | Self::HaproxyMultiplexed => serve.on_port(port),
            Self::NginxScgi | Self::LighttpdScgi => serve.on_scgi(),
            _ => serve.on_fastcgi(),
        };
        let socket = flupd.socket();
        let nginx_on = |name: &str, directives: &[&str]| {
            nginx::start(|port| {
                let example = Example::open(name).listen(port).socket(&socket);
                directives.iter().fold(example, |example, line| example.uncomment(line))
            })
        };
        let lighttpd_on = |name: &str| lighttpd::start(&Example::open(name).socket(&socket));
        let haproxy_on = |name: &str| haproxy::start(Example::open(name).port(port));
        let web = match self {
            Self::NginxFastcgi => nginx_on("nginx-examples/fastcgi.conf", &[]),
            Self::NginxKeepConn | Self::NginxSolo => {
                nginx_on("nginx-examples/fastcgi-keepconn.conf", &[])
            }
            Self::NginxUnbuffered => {
                nginx_on("nginx-examples/fastcgi.conf", &["fastcgi_request_buffering off;"])
            }
            Self::NginxScgi => nginx_on("nginx-examples/scgi.conf", &[]),
            Self::LighttpdFastcgi => lighttpd_on("lighttpd-examples/fastcgi.conf"),
            Self::LighttpdScgi => lighttpd_on("lighttpd-examples/scgi.conf"),
            Self::Haproxy => haproxy_on("haproxy-examples/fastcgi.cfg"),
            Self::HaproxyMultiplexed => haproxy_on("haproxy-examples/multiplexed.cfg"),
        };
        Site { web, flupd }
    }
}

/// flupd behind a web server. The web server goes first when both are dropped.
pub struct Site {
    pub web: WebServer,
    pub flupd: Flupd,
}

impl Site {
    /// The answer to a GET.
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// The answer to a request, whole.
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.web.address()).unwrap_or_else(|e| panic!("{request:?}: {e}"))
    }
}

/// A web server that runs.
pub struct WebServer {
    process: Process,
    address: SocketAddr,
    error_log: Box<dyn Fn() -> String + Sync + Send>,
    // Last, so that it goes after the process.
    _dir: TempDir,
}

impl WebServer {
    /// Takes charge of a process just started; returns when it accepts connections.
    pub fn started(
        mut process: Process,
        dir: TempDir,
        address: SocketAddr,
        error_log: impl Fn() -> String + Sync + Send + 'static,
    ) -> Self {
        wait::until("the web server accepts connections", || {
            if let Some(status) = process.ended() {
                panic!("the web server ended ({status}): {}{}", process.log(), error_log());
            }
            TcpStream::connect(address).is_ok()
        });
        Self { process, address, error_log: Box::new(error_log), _dir: dir }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stands in its error log.
    pub fn error_log(&self) -> String {
        (self.error_log)()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- error log of process {:?}\n{}", self.process.pid(), self.error_log());
        }
    }
}

/// Makes of each case function a test per web server: `CASE::SERVER`.
///
/// `on_servers! { all: a, b; fastcgi: c; routed: d; }`, where `routed` is all but
/// solo mode: for cases that need several app threads or a gateway that outlives
/// a worker.
macro_rules! on_servers {
    ($($group:ident: $($case:ident),+ $(,)?;)+) => {
        mod on {
            $($(mod $case { on_servers!(@$group $case); })+)+
        }
    };
    (@all $case:ident) => {
        on_servers!(@routed $case);
        on_servers!(@test $case: NginxSolo nginx_solo);
    };
    (@fastcgi $case:ident) => {
        on_servers!(@routed_fastcgi $case);
        on_servers!(@test $case: NginxSolo nginx_solo);
    };
    (@routed $case:ident) => {
        on_servers!(@routed_fastcgi $case);
        on_servers!(@test $case: NginxScgi nginx_scgi, LighttpdScgi lighttpd_scgi);
    };
    (@routed_fastcgi $case:ident) => {
        on_servers!(@test $case: NginxFastcgi nginx_fastcgi, NginxKeepConn nginx_keep_conn,
            NginxUnbuffered nginx_unbuffered, LighttpdFastcgi lighttpd_fastcgi, Haproxy haproxy,
            HaproxyMultiplexed haproxy_multiplexed);
    };
    (@test $case:ident: $($front:ident $name:ident),+) => {
        $(#[test]
        fn $name() {
            super::super::$case($crate::harness::front::Front::$front);
        })+
    };
}
