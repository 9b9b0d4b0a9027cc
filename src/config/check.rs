//! From the raw command line to a configuration that holds: every value checked,
//! every default filled in.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::address::{Address, AddressError};
use super::logs::logs;
use super::{
    AppConfig, AppId, AppLimits, Limits, Listen, Protocol, ServeConfig, SocketConfig, Timeouts,
};
use crate::cli::ServeArgs;

/// Where to listen if nothing is said.
const DEFAULT_SOCKET: &str = "./flupd.sock";
/// The mode of unix sockets if nothing is said.
const DEFAULT_MODE: u32 = 0o660;
/// App threads per worker if nothing is said.
const DEFAULT_THREADS: usize = 4;
/// Seconds for running requests after SIGTERM if nothing is said.
const DEFAULT_GRACE: u64 = 30;
/// The least `--max-params`: what web servers really send fits.
const MIN_PARAMS: u64 = 1 << 20;
/// The most `--max-params`: params are held in memory.
const MAX_PARAMS: u64 = 1 << 30;
/// How many addresses: their sockets travel to the gateway in one message.
const MAX_LISTENERS: usize = 64;

/// A value that can't be used: what, where, and what to do.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// An address that is none.
    #[error("--{protocol} {text:?}: {error}")]
    Address {
        /// The option.
        protocol: Protocol,
        /// What was written.
        text: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// The same address twice.
    #[error("the address {0} is given twice; each address can speak one protocol")]
    Twice(Address),
    /// More addresses than sockets that can be passed.
    #[error("{0} addresses are given; at most {MAX_LISTENERS} can be")]
    Listeners(usize),
    /// `APP` is empty.
    #[error("APP is empty; name the app, such as module:callable")]
    NoApp,
    /// Text that can't go into a path or a param.
    #[error("{0} holds a NUL byte")]
    NulByte(&'static str),
    /// A directory that can't be used.
    #[error("{option} {}: {error}", path.display())]
    Directory {
        /// The option.
        option: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// `--script-name` that is no path.
    #[error(
        "--script-name {0:?}: a mount point begins with a slash, such as /shop; write / for the root"
    )]
    ScriptName(String),
    /// `--max-params` out of its range.
    #[error("--max-params {0}: the limit on params is at least 1M and at most 1G")]
    Params(u64),
    /// `--max-body` over what an offset in a file can be.
    #[error("--max-body {0}: a body has at most 8388608G")]
    Body(u64),
    /// The current directory has gone.
    #[error("the current directory can't be read: {0}; enter one that exists")]
    CurrentDirectory(std::io::Error),
}

impl TryFrom<ServeArgs> for ServeConfig {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Self, ConfigError> {
        let mut defaults = Vec::new();
        let listeners = listeners(&args, &mut defaults)?;
        if args.app.is_empty() {
            return Err(ConfigError::NoApp);
        }
        if args.app.contains('\0') {
            return Err(ConfigError::NulByte("APP"));
        }
        let mut or_default = |given: Option<usize>, option, default: usize| {
            given.unwrap_or_else(|| {
                defaults.push(option);
                default
            })
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(1024);
        let (cores, threads) = if args.solo { (1, 1) } else { (cores, DEFAULT_THREADS) };
        let workers = or_default(args.workers.map(usize::from), "workers", cores);
        let threads = or_default(args.threads.map(usize::from), "threads", threads);
        if args.python.is_none() {
            defaults.push("python");
        }
        let here = std::env::current_dir().map_err(ConfigError::CurrentDirectory)?;
        let chdir = args.chdir.map(|path| directory("--chdir", &here, &path)).transpose()?;
        let base = chdir.as_deref().unwrap_or(&here);
        let path = args.path.iter().map(|path| directory("--path", base, path));
        let app = AppConfig {
            name: None,
            app: args.app,
            python: args.python,
            path: path.collect::<Result<_, _>>()?,
            chdir,
            workers,
            threads,
            preload: args.preload,
            solo: args.solo,
            hosts: Vec::new(),
            prefixes: Vec::new(),
            script_name: args.script_name.map(script_name).transpose()?,
            limits: limits(args.queue, args.max_body, args.max_params)?,
        };
        Ok(Self {
            listeners,
            apps: vec![app],
            graceful_timeout: args
                .graceful_timeout
                .unwrap_or(std::time::Duration::from_secs(DEFAULT_GRACE)),
            limits: Limits::default(),
            timeouts: Timeouts {
                read: args.read_timeout.unwrap_or(Timeouts::default().read),
                write: args.write_timeout.unwrap_or(Timeouts::default().write),
                keep: args.keep_timeout.unwrap_or(Timeouts::default().keep),
            },
            logs: logs(args.logs, &here),
            defaults,
        })
    }
}

fn listeners(
    args: &ServeArgs,
    defaults: &mut Vec<&'static str>,
) -> Result<Vec<Listen>, ConfigError> {
    let socket = SocketConfig {
        mode: args.socket_mode.unwrap_or(DEFAULT_MODE),
        owner: args.socket_owner.clone(),
        group: args.socket_group.clone(),
    };
    let listen = |protocol, address| Listen {
        protocol,
        address,
        socket: socket.clone(),
        apps: vec![AppId(0)],
    };
    let fastcgi = args.fastcgi.iter().map(|text| (Protocol::Fastcgi, text));
    let scgi = args.scgi.iter().map(|text| (Protocol::Scgi, text));
    let mut listeners: Vec<Listen> = Vec::new();
    for (protocol, text) in fastcgi.chain(scgi) {
        let address = text.parse::<Address>().map_err(|error| ConfigError::Address {
            protocol,
            text: text.clone(),
            error,
        })?;
        // Port 0 is a different one each time.
        let chosen = !matches!(address, Address::Tcp { port: 0, .. });
        if chosen && listeners.iter().any(|other| other.address == address) {
            return Err(ConfigError::Twice(address));
        }
        listeners.push(listen(protocol, address));
    }
    if listeners.is_empty() {
        defaults.push("fastcgi");
        listeners.push(listen(Protocol::Fastcgi, Address::Unix(DEFAULT_SOCKET.into())));
    }
    match listeners.len() {
        many if many > MAX_LISTENERS => Err(ConfigError::Listeners(many)),
        _ => Ok(listeners),
    }
}

fn limits(
    queue: Option<u32>,
    body: Option<u64>,
    params: Option<u64>,
) -> Result<AppLimits, ConfigError> {
    let mut limits = AppLimits::default();
    if let Some(queue) = queue {
        limits.queue = queue as usize;
    }
    if let Some(body) = body {
        if i64::try_from(body).is_err() {
            return Err(ConfigError::Body(body));
        }
        limits.body = body;
    }
    if let Some(params) = params {
        if !(MIN_PARAMS..=MAX_PARAMS).contains(&params) {
            return Err(ConfigError::Params(params));
        }
        limits.params = params as usize;
    }
    Ok(limits)
}

/// A directory that exists, as an absolute path.
fn directory(option: &'static str, base: &Path, path: &Path) -> Result<PathBuf, ConfigError> {
    let whole = base.join(path);
    let error = match std::fs::metadata(&whole) {
        Ok(found) if found.is_dir() => return Ok(whole),
        Ok(_) => std::io::ErrorKind::NotADirectory.into(),
        Err(error) => error,
    };
    Err(ConfigError::Directory { option, path: whole, error })
}

/// PEP 3333: SCRIPT_NAME is empty for the root, else begins with a slash and
/// does not end with one.
fn script_name(name: String) -> Result<String, ConfigError> {
    if name.contains('\0') {
        return Err(ConfigError::NulByte("--script-name"));
    }
    let trimmed = name.trim_end_matches('/');
    match trimmed.starts_with('/') || trimmed.is_empty() {
        true => Ok(trimmed.to_owned()),
        false => Err(ConfigError::ScriptName(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn check(options: &[&str]) -> Result<ServeConfig, ConfigError> {
        let words = ["flupd", "serve", "app:application"].iter().chain(options);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Serve(args) => ServeConfig::try_from(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_named() {
        let config = check(&[]).unwrap();
        assert_eq!(config.defaults, ["fastcgi", "workers", "threads", "python"]);
        assert_eq!(config.apps[0].threads, 4);
        assert_eq!(config.listeners[0].socket.mode, 0o660);
        assert_eq!(config.graceful_timeout.as_secs(), 30);
        assert_eq!(config.apps[0].limits, AppLimits::default());
        assert_eq!(config.timeouts, Timeouts::default());
        let [listen] = &*config.listeners else { panic!("{:?}", config.listeners) };
        assert_eq!(listen.protocol, Protocol::Fastcgi);
        assert_eq!(listen.address, Address::Unix("./flupd.sock".into()));
    }

    #[test]
    fn what_is_given_is_no_default() {
        let config = check(&[
            "--scgi=127.0.0.1:4000",
            "--workers=3",
            "--threads=1",
            "--python=/usr/bin/python3",
            "--max-params=2M",
            "--queue=0",
            "--keep-timeout=1.5",
        ])
        .unwrap();
        assert!(config.defaults.is_empty());
        let app = &config.apps[0];
        assert_eq!((app.workers, app.threads), (3, 1));
        assert_eq!((app.limits.params, app.limits.queue), (2 << 20, 0));
        assert_eq!(config.timeouts.keep.as_millis(), 1500);
    }

    #[test]
    fn directories_are_absolute_and_exist() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("lib")).unwrap();
        std::fs::write(base.path().join("file"), "").unwrap();
        let chdir = format!("--chdir={}", base.path().display());
        let config = check(&[&chdir, "--path=lib"]).unwrap();
        assert_eq!(config.apps[0].path, [base.path().join("lib")]);
        let error = check(&[&chdir, "--path=file"]).unwrap_err().to_string();
        assert!(error.starts_with("--path /") && error.contains("not a directory"), "{error}");
        let error = check(&["--chdir=/no/such"]).unwrap_err().to_string();
        assert!(error.starts_with("--chdir /no/such: No such file"), "{error}");
    }

    #[test]
    fn a_mount_point_has_one_form() {
        for (given, kept) in [("/", ""), ("", ""), ("/shop", "/shop"), ("/shop/", "/shop")] {
            let config = check(&["--script-name", given]).unwrap();
            assert_eq!(config.apps[0].script_name.as_deref(), Some(kept));
        }
        assert!(matches!(check(&["--script-name=shop"]), Err(ConfigError::ScriptName(_))));
    }

    #[test]
    fn every_bad_value_says_where_it_stands() {
        let table: &[(&[&str], &str)] = &[
            (&["--fastcgi=9000"], "--fastcgi \"9000\": not an address; write unix:/path"),
            (&["--scgi=[x]:1"], "--scgi \"[x]:1\": \"x\" is not an IPv6 address"),
            (&["--scgi=fd:0", "--fastcgi=fd:0"], "the address fd:0 is given twice"),
            (&["--max-params=1023K"], "--max-params 1047552: the limit on params is at least 1M"),
            (&["--max-body=9999999999G"], "--max-body"),
        ];
        for (options, start) in table {
            let text = check(options).unwrap_err().to_string();
            assert!(text.starts_with(start), "{text}");
        }
    }
}
