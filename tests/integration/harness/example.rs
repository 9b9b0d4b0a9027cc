//! The example configurations, made ready to boot.
//!
//! What a user would change is changed here, and nothing else: the address to
//! listen on, flupd's socket and the site's directory. Besides, a directive that
//! stands commented out can be switched on. Each change must find its text, so
//! an example cannot drift away from its tests.

use std::fs;
use std::path::Path;

use super::flupd::Serve;
use super::front::{Server, Site, WebServer};
use super::{apache, caddy, h2o, haproxy, lighttpd, nginx, ports, source};

/// The text of an example file with the user's changes made.
pub struct Example {
    name: String,
    text: String,
}

impl Example {
    /// Reads a file of the source tree, as `nginx-examples/fastcgi.conf`.
    pub fn open(name: &str) -> Self {
        let text = fs::read_to_string(source(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name: name.to_owned(), text }
    }

    /// nginx listens on this port of 127.0.0.1.
    pub fn listen(self, port: u16) -> Self {
        self.replace("listen 80;", &format!("listen 127.0.0.1:{port};"))
    }

    /// flupd's unix socket.
    pub fn socket(self, path: &Path) -> Self {
        self.replace("/run/flupd/app.sock", path.to_str().unwrap())
    }

    /// flupd's port of 127.0.0.1, in the place of 9000 (FastCGI) or 9001 (SCGI).
    pub fn port(self, port: u16) -> Self {
        let old = ["127.0.0.1:9000", "127.0.0.1:9001"];
        let old = old.into_iter().find(|old| self.text.contains(old)).unwrap_or(old[0]);
        self.replace(old, &format!("127.0.0.1:{port}"))
    }

    /// Starts flupd as the file's comment says, with these settings besides, and
    /// the web server in front of it.
    pub fn in_front_of(self, serve: Serve) -> Site {
        let mut serve = match Server::of(&self.name) {
            Server::Apache => apache::admitted(serve),
            _ => serve,
        };
        let (_, command) = self.text.split_once("flupd serve").unwrap();
        let command = command.replace("\\\n#", "");
        let words: Vec<_> = command.lines().next().unwrap().split_whitespace().collect();
        let mut listener = None;
        for (&word, &value) in words.iter().zip(&words[1..]) {
            match word {
                "--fastcgi" | "--scgi" => listener = Some((word.to_owned(), value.to_owned())),
                "--script-name" => serve = serve.args([word, value]),
                _ => {}
            }
        }
        let (option, address) = listener.unwrap();
        if address.starts_with("unix:") {
            let flupd = serve.on_socket(&option);
            let web = self.socket(&flupd.socket()).boot();
            Site { web, flupd }
        } else {
            let port = ports::free();
            let flupd = serve.on(&option, &format!("127.0.0.1:{port}"));
            Site { web: self.port(port).boot(), flupd }
        }
    }

    /// Boots the web server that the file is for.
    pub fn boot(self) -> WebServer {
        match Server::of(&self.name) {
            Server::Nginx => nginx::start(|port| self.listen(port)),
            Server::Lighttpd => lighttpd::start(&self),
            Server::Apache => apache::start(&self),
            Server::Haproxy => haproxy::start(self),
            Server::Caddy => caddy::start(self),
            Server::H2o => h2o::start(self),
        }
    }

    /// The unix socket of a flupd that is asked first.
    pub fn guard(self, path: &Path) -> Self {
        self.replace("/run/flupd/auth.sock", path.to_str().unwrap())
    }

    /// The TCP address of a flupd, in the place of this one.
    pub fn tcp(self, old: &str, address: &str) -> Self {
        self.replace(old, address)
    }

    /// The unix socket that lighttpd makes for what it starts.
    pub fn lighttpds_socket(self, path: &Path) -> Self {
        self.replace("/run/lighttpd/mysite.sock", path.to_str().unwrap())
    }

    /// The site's directory.
    pub fn site(self, path: &Path) -> Self {
        self.replace("/srv/mysite", path.to_str().unwrap())
    }

    /// A change that only this test makes.
    pub fn with(self, old: &str, new: &str) -> Self {
        self.replace(old, new)
    }

    /// Takes the `#` off a directive that stands commented out.
    pub fn uncomment(self, directive: &str) -> Self {
        self.replace(&format!("#{directive}"), directive)
    }

    /// The text as it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with `new` for each `old`; there must be one.
    pub fn replace(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "{} no longer says {old:?}", self.name);
        self.text = self.text.replace(old, new);
        self
    }
}
