//! The command line, as it is written. What it means is checked in
//! [`crate::config`].

pub mod control;
pub mod logs;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};

use self::control::{
    ControlArgs, LogLevelArgs, ReloadArgs, RestartArgs, ScaleArgs, StatusArgs, TopArgs, TraceArgs,
};
use self::logs::LogArgs;
use crate::config::values::{self, Workers};
use crate::config::{MAX_REQUESTS, QUEUE, REQUESTS_JITTER, Role, Share, THREADS};

/// The version and the build: commit, profile and compiler.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FLUPD_BUILD"), ")");

/// The FastCGI/SCGI gateway daemon for Python WSGI applications.
#[derive(Debug, Parser)]
#[command(name = "flupd", version = VERSION, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl RunArgs {
    /// The script, as it was written.
    pub fn script(&self) -> &str {
        self.serve.app.as_deref().unwrap_or_default()
    }
}

impl Cli {
    /// All commands, each with a help of its own.
    pub fn whole() -> clap::Command {
        Self::command().mut_subcommand("run", |run| {
            run.mut_arg("app", |arg| arg.value_name("SCRIPT").help("The script"))
                .mut_arg("config", |arg| arg.hide(true))
                // What is changed comes last, and these are to stay behind it.
                .mut_arg("arguments", |arg| arg)
                .mut_arg("fastcgi", |arg| {
                    arg.help("Listen for FastCGI; may be repeated [default: fd:0 if no address is given]")
                })
                .mut_arg("python", |arg| {
                    arg.help(
                        "The Python to run the script with: an interpreter or the directory of a \
                         virtualenv [default: $VIRTUAL_ENV, else venv or .venv beside the script, \
                         else python3 on PATH]",
                    )
                })
        })
    }

    /// Reads a command line.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it asks for.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::whole().try_get_matches_from(words)?)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a WSGI app behind a web server
    Serve(Box<ServeArgs>),
    /// Run a script that a web server has started, as `flupd SCRIPT` does
    Run(Box<RunArgs>),
    /// Say whether `serve` with the same arguments could start, import each app, and write the
    /// configuration with all its defaults
    Check(Box<ServeArgs>),
    /// Say what a flupd that runs does: workers, queue, and every running request
    Status(StatusArgs),
    /// Show it live: apps, workers, and every request with its age and CPU time
    Top(TopArgs),
    /// Say where its running requests are: the Python frames of each
    Trace(TraceArgs),
    /// Have a flupd that runs take new code and configuration, without losing a request
    Reload(ReloadArgs),
    /// Have the flupd program that is installed now take over from the one that runs, without losing
    /// a request
    Upgrade(ControlArgs),
    /// Have it replace the workers of an app one after the other, with the configuration that it has
    Restart(RestartArgs),
    /// Give an app of a flupd that runs another number of workers, until the next reload
    Scale(ScaleArgs),
    /// Have it finish what it does, and end; returns when it has
    Stop(ControlArgs),
    /// Have it open its log files again
    ReopenLogs(ControlArgs),
    /// Have it log from this level on
    LogLevel(LogLevelArgs),
    /// Send one request to a FastCGI or SCGI server, as a web server would
    Request(RequestArgs),
    /// The process between web server and workers; started by `serve`
    #[command(hide = true)]
    Gateway,
}

/// `flupd serve`, raw.
#[derive(Debug, Clone, Args)]
#[command(after_help = "ADDR is one of
  unix:/PATH    a unix socket that flupd makes; any path with a / will do
  HOST:PORT     a TCP port, [V6]:PORT for IPv6
  fd:N          a listening socket that flupd was started with, such as fd:0
  systemd       all sockets of systemd's socket activation (LISTEN_FDS)")]
pub struct ServeArgs {
    /// The app: `module:callable`, `module:factory()`, `package.wsgi`, `path/to/file.py[:name]` or
    /// a `.wsgi` file. Without a name, `application` or `app` is taken
    #[arg(required_unless_present = "config")]
    pub app: Option<String>,

    /// Read everything from this file instead, which can have several apps: see
    /// docs/configuration.md
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub config: Option<PathBuf>,

    /// Listen for FastCGI; may be repeated [default: unix:./flupd.sock if no address is given]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub fastcgi: Vec<String>,

    /// Listen for SCGI; may be repeated
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub scgi: Vec<String>,

    /// The mode of unix sockets that flupd makes [default: 0660]
    #[arg(long, value_name = "OCTAL", value_parser = values::mode, help_heading = "Addresses")]
    pub socket_mode: Option<u32>,

    /// Their owner, by name or number [default: the user that starts flupd]
    #[arg(long, value_name = "USER", help_heading = "Addresses")]
    pub socket_owner: Option<String>,

    /// Their group, by name or number [default: the group that starts flupd]
    #[arg(long, value_name = "GROUP", help_heading = "Addresses")]
    pub socket_group: Option<String>,

    /// Who may connect over TCP: an address or a network such as 192.0.2.0/24; over a unix socket:
    /// uid:USER or gid:GROUP. May be repeated [default: everybody, over TCP those in
    /// FCGI_WEB_SERVER_ADDRS]
    #[arg(long, value_name = "WHO", help_heading = "Addresses")]
    pub allow: Vec<String>,

    /// Tell metrics, health and readiness over HTTP at this address, unix:/PATH or HOST:PORT: see
    /// docs/metrics.md
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub status: Option<String>,

    /// Who may ask for it, as in --allow; may be repeated. Needed for a HOST that others can reach
    #[arg(long, value_name = "WHO", requires = "status", help_heading = "Addresses")]
    pub status_allow: Vec<String>,

    /// What web servers may ask for over FastCGI; may be repeated. Other roles are refused
    /// [default: responder]
    #[arg(long, value_name = "ROLE", value_enum, help_heading = "Addresses")]
    pub role: Vec<Role>,

    /// The number of worker processes: N always, MIN..MAX as the requests need them, or on-demand:
    /// none while nobody asks. See docs/operations.md [default: one per core]
    #[arg(long, value_name = "N", value_parser = values::workers)]
    pub workers: Option<Workers>,

    /// With MIN..MAX: how many workers more than the requests need are kept [default: 1]
    #[arg(long, value_name = "N")]
    pub spare: Option<u16>,

    /// With MIN..MAX and on-demand: seconds for which a worker must not have been needed before it
    /// leaves [default: 60]
    #[arg(long, value_name = "S", value_parser = values::some_seconds)]
    pub idle_timeout: Option<Duration>,

    /// The number of app threads in each worker [default: 4]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(THREADS))]
    pub threads: Option<u16>,

    /// Import the app once, in a process that then forks the workers: they start in a millisecond
    /// and share what the import has put in memory
    #[arg(long)]
    pub preload: bool,

    /// Serve and run the app in one process, on one thread: the fastest for apps
    /// that answer at once, but while the app works nothing else happens.
    #[arg(long, conflicts_with_all = ["preload", "threads"])]
    pub solo: bool,

    /// The Python to run the app with: an interpreter or the directory of a virtualenv
    /// [default: $VIRTUAL_ENV, else python3 on PATH]
    #[arg(long, value_name = "PATH", help_heading = "App")]
    pub python: Option<PathBuf>,

    /// Enter this directory before the app is imported
    #[arg(long, value_name = "DIR", help_heading = "App")]
    pub chdir: Option<PathBuf>,

    /// Put this directory in front of sys.path; may be repeated. Relative to --chdir
    #[arg(long, value_name = "DIR", help_heading = "App")]
    pub path: Vec<PathBuf>,

    /// Run the app as this user, by name or number; flupd must be started as root, and then it must
    /// be said [default: who starts flupd]
    #[arg(long, value_name = "USER", help_heading = "App")]
    pub user: Option<String>,

    /// Run it with this group [default: the user's]
    #[arg(long, value_name = "GROUP", help_heading = "App")]
    pub group: Option<String>,

    /// The permissions that files of the app don't have [default: flupd's own umask]
    #[arg(long, value_name = "OCTAL", value_parser = values::mode, help_heading = "App")]
    pub umask: Option<u32>,

    /// Run the gateway, which speaks with the web server, as this user if flupd is started as root
    /// [default: nobody]
    #[arg(long, value_name = "USER", help_heading = "Addresses")]
    pub gateway_user: Option<String>,

    /// Run it with this group [default: the user's]
    #[arg(long, value_name = "GROUP", help_heading = "Addresses")]
    pub gateway_group: Option<String>,

    /// Where the app is mounted, such as /shop, or / for the root: SCRIPT_NAME for every request
    /// [default: what the web server's params say]
    #[arg(long, value_name = "NAME", help_heading = "App")]
    pub script_name: Option<String>,

    /// A path, such as /healthz, that a new worker must answer with a status below 400 before it
    /// gets requests: at the start and at each reload
    #[arg(long, value_name = "PATH", conflicts_with = "solo", help_heading = "App")]
    pub probe: Option<String>,

    /// The Host header of that request [default: localhost]
    #[arg(long, value_name = "HOST", requires = "probe", help_heading = "App")]
    pub probe_host: Option<String>,

    /// Seconds that the answer may take [default: 10]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, requires = "probe", help_heading = "App")]
    pub probe_timeout: Option<Duration>,

    /// At a reload, give the new code this share of the requests first, such as 10%, and take it back
    /// if it does worse than the old
    #[arg(long, value_name = "SHARE", value_parser = Share::parse, conflicts_with = "solo", help_heading = "App")]
    pub canary: Option<Share>,

    /// Seconds for which the two are compared [default: 30]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, requires = "canary", help_heading = "App")]
    pub canary_time: Option<Duration>,

    /// Where `flupd reload` and the like give their orders: the path of a unix socket, or off
    /// [default: the first unix socket that flupd makes, with .control behind its name]
    #[arg(long, value_name = "PATH", help_heading = "Control")]
    pub control: Option<String>,

    /// Who may give orders besides the user that starts flupd and root: the members of this group
    #[arg(long, value_name = "GROUP", help_heading = "Control")]
    pub control_group: Option<String>,

    /// What is logged, and where
    #[command(flatten)]
    pub logs: LogArgs,

    /// Requests that may wait for a free app thread; one more is answered 503 [default: 1024]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(QUEUE), help_heading = "Limits")]
    pub queue: Option<u32>,

    /// Seconds that a request may wait for a free app thread; then it is answered 503 [default: no
    /// limit]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub queue_timeout: Option<Duration>,

    /// Seconds after which a request that still runs is logged, with the line of the app where it is
    /// [default: never]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub slow_request: Option<Duration>,

    /// Seconds that the app may work on a request; then flupd.RequestTimeout is raised in it, and
    /// the client gets a 504 [default: no limit]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub request_timeout: Option<Duration>,

    /// Seconds that a request may go on after that; then its worker is replaced [default: 5]
    #[arg(long, value_name = "S", value_parser = values::seconds, requires = "request_timeout", help_heading = "Limits")]
    pub request_grace: Option<Duration>,

    /// Requests after which a worker is replaced [default: no limit]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(MAX_REQUESTS), help_heading = "Limits")]
    pub max_requests: Option<u32>,

    /// Up to so many requests more, so that the workers are not all due at once [default: a tenth of
    /// --max-requests]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(REQUESTS_JITTER), requires = "max_requests", help_heading = "Limits")]
    pub max_requests_jitter: Option<u32>,

    /// Seconds after which a worker is replaced, or up to a tenth sooner [default: no limit]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub max_age: Option<Duration>,

    /// Resident memory with which a worker is replaced: 300M [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Limits")]
    pub max_memory: Option<u64>,

    /// The longest request body, in bytes or with K, M, G; a longer one is answered 413
    /// [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Limits")]
    pub max_body: Option<u64>,

    /// The most bytes of params (request headers and server variables) of one request, or with K, M,
    /// G [default: 1M]
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Limits")]
    pub max_params: Option<u64>,

    /// Seconds that a web server may be silent inside a request [default: 60]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub read_timeout: Option<Duration>,

    /// Seconds that a web server may take no byte of its answer [default: 60]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub write_timeout: Option<Duration>,

    /// Seconds that a kept connection may stay without a request [default: 300]
    #[arg(long, value_name = "S", value_parser = values::some_seconds, help_heading = "Limits")]
    pub keep_timeout: Option<Duration>,

    /// Seconds that running requests get to finish after SIGTERM or SIGINT [default: 30]
    #[arg(long, value_name = "S", value_parser = values::seconds, help_heading = "Limits")]
    pub graceful_timeout: Option<Duration>,
}

/// `flupd run`, raw.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
The script runs as `python SCRIPT` runs it. The app is what it serves through flup, or else its
`application` or `app`.

Standard input says what it was started for: a listening socket (fd:0) is served, with FastCGI
unless --scgi fd:0 is given, by this very process or by workers if any option asks for them
(--workers, --threads, --preload). Without a socket, one CGI request in the environment is answered.

The script may hold options in lines of its own, before its first code:
  # flupd: --workers 2 --scgi fd:0"
)]
pub struct RunArgs {
    /// What `flupd serve` takes, with the script in the place of the app.
    #[command(flatten)]
    pub serve: ServeArgs,

    /// End when the process that has started this one ends: yes or no [default: yes if that is
    /// lighttpd, Apache or multiwatch]
    #[arg(long, value_name = "Y/N", value_parser = BoolishValueParser::new())]
    pub with_parent: Option<bool>,

    /// What the script finds in sys.argv
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
}

/// `flupd request`, raw.
#[derive(Debug, Args)]
#[command(after_help = "Exit status, as curl's:
   0  an answer with a status below 400
   1  an answer that breaks the protocol, or a request that was refused
   2  a wrong command line
   7  nobody listens there
  18  an answer that was cut
  22  an answer with a status of 400 or above
  23  standard output can't be written
  26  a file of -d or --file can't be read
  28  no whole answer in time")]
pub struct RequestArgs {
    /// The server's address.
    #[arg(help = "The server: unix:/PATH, HOST:PORT or [V6]:PORT")]
    pub addr: String,

    /// The path to ask for, with its query string: /search?q=x
    pub path: String,

    /// Speak SCGI instead of FastCGI
    #[arg(long)]
    pub scgi: bool,

    /// The FastCGI role that is asked for
    #[arg(long, value_name = "ROLE", value_enum, default_value_t, conflicts_with = "scgi")]
    pub role: Role,

    /// The file that a Filter works on
    #[arg(long, value_name = "PATH", required_if_eq("role", "filter"))]
    pub file: Option<PathBuf>,

    /// Show the status line and the headers before the body
    #[arg(short, long)]
    pub include: bool,

    /// The request method [default: GET, or POST with -d]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,

    /// A request header; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,

    /// The request body: the text itself, @FILE, or @- for standard input; repeated ones are joined
    /// with &
    #[arg(short, long, value_name = "DATA")]
    pub data: Vec<String>,

    /// A CGI param to add, or to put in place of ours; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,

    /// Seconds for the whole exchange
    #[arg(long, value_name = "S", value_parser = values::some_seconds, default_value = "60")]
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::whole().debug_assert();
    }

    #[test]
    fn bad_numbers_are_refused_with_their_range() {
        for (option, value, hint) in [
            ("--workers", "two", "2..8"),
            ("--threads", "241", "1..=240"),
            ("--socket-mode", "0999", "octal"),
            ("--graceful-timeout", "soon", "seconds"),
            ("--max-body", "1T", "K, M or G"),
        ] {
            let error = Cli::try_parse_from(["flupd", "serve", "app", option, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(option) && text.contains(value) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn the_version_names_the_build() {
        let error = Cli::try_parse_from(["flupd", "--version"]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(concat!("flupd ", env!("CARGO_PKG_VERSION"), " (")), "{text}");
        assert!(text.contains("build"), "{text}");
    }
}
