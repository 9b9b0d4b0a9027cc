//! The web servers in front of flupd, as one table that every case runs on.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;
use tempfile::TempDir;

use super::app;
use super::example::Example;
use super::flupd::{Flupd, Serve};
use super::http::{Request, Response};
use super::process::Process;
use super::wait;

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
    /// Apache's mod_proxy_fcgi, a connection per request.
    ApacheFastcgi,
    /// As [`Front::ApacheFastcgi`], over TCP.
    ApacheTcp,
    /// Apache's mod_proxy_fcgi, connections kept open.
    ApacheReuse,
    /// Apache's mod_proxy_fcgi as a handler for what is no file.
    ApacheHandler,
    /// Apache's mod_proxy_scgi.
    ApacheScgi,
    /// HAProxy, FastCGI connections kept open, one request at a time on each.
    Haproxy,
    /// HAProxy, many requests at a time on a FastCGI connection.
    HaproxyMultiplexed,
    /// Caddy, a FastCGI connection per request.
    Caddy,
    /// H2O, FastCGI connections kept open.
    H2o,
}

/// The program behind a [`Front`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Nginx,
    Lighttpd,
    Apache,
    Haproxy,
    Caddy,
    H2o,
}

impl Front {
    /// The file that users copy.
    fn example(self) -> &'static str {
        match self {
            Self::NginxFastcgi | Self::NginxUnbuffered => "nginx-examples/fastcgi.conf",
            Self::NginxKeepConn | Self::NginxSolo => "nginx-examples/fastcgi-keepconn.conf",
            Self::NginxScgi => "nginx-examples/scgi.conf",
            Self::LighttpdFastcgi => "lighttpd-examples/fastcgi.conf",
            Self::LighttpdScgi => "lighttpd-examples/scgi.conf",
            Self::ApacheFastcgi | Self::ApacheTcp => "apache-examples/fastcgi.conf",
            Self::ApacheReuse => "apache-examples/fastcgi-reuse.conf",
            Self::ApacheHandler => "apache-examples/handler.conf",
            Self::ApacheScgi => "apache-examples/scgi.conf",
            Self::Haproxy => "haproxy-examples/fastcgi.cfg",
            Self::HaproxyMultiplexed => "haproxy-examples/multiplexed.cfg",
            Self::Caddy => "caddy-examples/fastcgi.caddyfile",
            Self::H2o => "h2o-examples/fastcgi.conf",
        }
    }

    /// The program that it is.
    pub fn server(self) -> Server {
        Server::of(self.example())
    }

    /// Whether it speaks FastCGI, and not SCGI.
    pub fn is_fastcgi(self) -> bool {
        !matches!(self, Self::NginxScgi | Self::LighttpdScgi | Self::ApacheScgi)
    }

    /// How many workers and threads to ask for, where a case needs several: in
    /// solo mode there are no threads.
    pub fn several(self, workers: &'static str, threads: &'static str) -> Vec<&'static str> {
        match self {
            Self::NginxSolo => vec!["--workers", workers],
            _ => vec!["--workers", workers, "--threads", threads],
        }
    }

    /// Serves one of the test apps.
    pub fn serve(self, name: &str) -> Site {
        self.serve_with(Serve::app(&app(name)))
    }

    /// Serves with these settings; the socket is added here.
    pub fn serve_with(self, serve: Serve) -> Site {
        let example = Example::open(self.example());
        match self {
            Self::NginxUnbuffered => {
                example.uncomment("fastcgi_request_buffering off;").in_front_of(serve)
            }
            Self::ApacheHandler => {
                let site = serve.dir().to_owned();
                fs::create_dir(site.join("public")).unwrap();
                example.site(&site).in_front_of(serve)
            }
            // The line for TCP in the place of the one for the unix socket.
            Self::ApacheTcp => example
                .with("ProxyPass \"/\" \"unix:", "#ProxyPass \"/\" \"unix:")
                .uncomment("ProxyPass \"/\" \"fcgi://192.0.2.7:9000/")
                .with("192.0.2.7:9000", "127.0.0.1:9000")
                .with("--fastcgi unix:/run/flupd/app.sock", "--fastcgi 127.0.0.1:9000")
                .in_front_of(serve),
            Self::NginxSolo => example.in_front_of(serve.args(["--solo"])),
            _ => example.in_front_of(serve),
        }
    }
}

impl Server {
    /// The one that an example is for.
    pub fn of(example: &str) -> Self {
        match example.split('/').next() {
            Some("nginx-examples") => Self::Nginx,
            Some("lighttpd-examples") => Self::Lighttpd,
            Some("apache-examples") => Self::Apache,
            Some("haproxy-examples") => Self::Haproxy,
            Some("caddy-examples") => Self::Caddy,
            Some("h2o-examples") => Self::H2o,
            _ => panic!("{example} is no web server's"),
        }
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

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends it a signal that ends it, and waits for its end.
    pub fn stop(&mut self, signal: Signal) {
        self.process.signal(signal);
        self.process.wait();
    }

    /// Kills all processes of its group, which it has for itself.
    pub fn kill_all(&mut self) {
        rustix::process::kill_process_group(self.process.pid(), Signal::KILL).unwrap();
        self.process.wait();
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
