//! What not every web server can do. The cases of `servers/` look here for what to
//! expect, and docs/web-servers.md must say the same.

use super::front::{Front, Server};

/// Something that some web servers can't do, or not in each of their ways to speak
/// to flupd. The cause is theirs: none of it depends on flupd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Keeps connections to flupd open for later requests.
    KeptConnections,
    /// Has many requests at a time on one connection.
    Multiplexing,
    /// Takes an upload of unknown length, however large.
    ChunkedUploads,
    /// Takes a small upload of unknown length.
    SmallChunkedUploads,
    /// Passes on a path with empty segments as the client sent it.
    EmptySegments,
    /// Passes on a path with an encoded question mark.
    QuestionMarks,
    /// Passes on a path whose bytes are no UTF-8.
    AnyBytes,
    /// Joins repeated Cookie headers by `; `.
    RepeatedCookies,
    /// Takes 100 response headers and more.
    ManyResponseHeaders,
    /// Has what the app writes to `wsgi.errors` in its log.
    ErrorLog,
    /// Shows the client that an answer of unknown length was cut.
    CutAnswers,
    /// Shows the client that an answer was shorter than its Content-Length, also
    /// when all of it came at once.
    ShortAnswers,
    /// Passes an answer on that comes before the end of the upload.
    EarlyRefusals,
    /// Passes an upload on while it comes, and flupd's answer when it comes no more.
    SlowUploads,
}

impl Ability {
    /// All, for the table in docs/web-servers.md.
    pub const ALL: [Self; 14] = [
        Self::KeptConnections,
        Self::Multiplexing,
        Self::ChunkedUploads,
        Self::SmallChunkedUploads,
        Self::EmptySegments,
        Self::QuestionMarks,
        Self::AnyBytes,
        Self::RepeatedCookies,
        Self::ManyResponseHeaders,
        Self::ErrorLog,
        Self::CutAnswers,
        Self::ShortAnswers,
        Self::EarlyRefusals,
        Self::SlowUploads,
    ];
}

impl Front {
    /// Whether it can; each `false` has its reason here.
    pub fn can(self, ability: Ability) -> bool {
        let server = self.server();
        match ability {
            Ability::KeptConnections => matches!(
                self,
                Self::NginxKeepConn
                    | Self::NginxSolo
                    | Self::ApacheReuse
                    | Self::Haproxy
                    | Self::HaproxyMultiplexed
                    | Self::H2o
            ),
            Ability::Multiplexing => self == Self::HaproxyMultiplexed,
            // HAProxy wants to know the length first, and answers 400 when the body
            // does not fit its buffer (tune.bufsize); mod_proxy_scgi answers 411.
            Ability::ChunkedUploads => server != Server::Haproxy && self != Self::ApacheScgi,
            Ability::SmallChunkedUploads => self != Self::ApacheScgi,
            // They merge slashes (server.http-parseopts, MergeSlashes). In the handler's
            // example flupd is told to look at REQUEST_URI (--script-name).
            Ability::EmptySegments => {
                !matches!(server, Server::Lighttpd | Server::Apache) || self == Self::ApacheHandler
            }
            // A handler's path is a file's, and Apache's answer is 403.
            Ability::QuestionMarks => self != Self::ApacheHandler,
            // url-invalid-utf8-reject.
            Ability::AnyBytes => server != Server::Lighttpd,
            // By `, ` and `;`.
            Ability::RepeatedCookies => {
                !matches!(server, Server::Apache | Server::Caddy | Server::H2o)
            }
            // 101 lines (tune.http.maxhdr) and 100, `Status` included.
            Ability::ManyResponseHeaders => !matches!(server, Server::Haproxy | Server::H2o),
            // SCGI has no way for it; Caddy 2.6 drops it.
            Ability::ErrorLog => self.is_fastcgi() && server != Server::Caddy,
            // SCGI has no sign for it; the others don't tell their clients (decision 0004).
            Ability::CutAnswers => {
                self.is_fastcgi() && !matches!(server, Server::Caddy | Server::H2o)
            }
            // Others gather the upload first, or look for an answer when all of it is sent.
            Ability::EarlyRefusals => {
                self == Self::NginxUnbuffered || server == Server::Apache && self.is_fastcgi()
            }
            Ability::SlowUploads => self == Self::NginxUnbuffered,
            // Apache gives a small answer a length of its own.
            Ability::ShortAnswers => self != Self::ApacheScgi,
        }
    }
}
