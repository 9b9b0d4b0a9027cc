//! The command line as a configuration: the short form of a file with one app.

use std::path::PathBuf;

use toml::Spanned;

use super::values::{Limit, Mode, Seconds, Size, SomeSeconds, Texts, Workers};
use super::written::{Given, Written, WrittenApp, WrittenListen};
use crate::cli::ServeArgs;
use crate::cli::logs::Capture;

/// It has no place in a text.
fn plain<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

fn given<T, U>(value: Option<T>, into: impl FnOnce(T) -> U) -> Given<U> {
    value.map(into).map(plain)
}

fn same<T>(value: T) -> T {
    value
}

/// A flag says yes or nothing.
fn flag(set: bool) -> Given<bool> {
    set.then(|| plain(true))
}

fn texts(paths: Vec<PathBuf>) -> Given<Texts> {
    words(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

fn words(texts: Vec<String>) -> Given<Texts> {
    (!texts.is_empty()).then(|| plain(Texts(texts)))
}

/// How many workers, with those that are kept idle.
fn workers(number: Option<Workers>, spare: Option<u16>) -> Given<Workers> {
    let workers = match (number, spare) {
        (None, None) => return None,
        (number, spare) => Workers { spare: spare.map(i64::from), ..number.unwrap_or_default() },
    };
    Some(plain(workers))
}

impl From<ServeArgs> for Written {
    fn from(args: ServeArgs) -> Self {
        let socket = WrittenListen {
            mode: given(args.socket_mode, Mode),
            owner: given(args.socket_owner, same),
            group: given(args.socket_group, same),
            role: words(args.role.iter().map(|role| role.name().to_owned()).collect()),
            allow: words(args.allow),
            ..WrittenListen::default()
        };
        let fastcgi = args
            .fastcgi
            .into_iter()
            .map(|address| WrittenListen { fastcgi: Some(plain(address)), ..socket.clone() });
        let scgi = args
            .scgi
            .into_iter()
            .map(|address| WrittenListen { scgi: Some(plain(address)), ..socket.clone() });
        let mut listen: Vec<_> = fastcgi.chain(scgi).map(plain).collect();
        if listen.is_empty() {
            listen.push(plain(socket));
        }
        let app = WrittenApp {
            app: given(args.app, same),
            python: given(args.python, same),
            chdir: given(args.chdir, same),
            path: texts(args.path),
            user: given(args.user, same),
            group: given(args.group, same),
            umask: given(args.umask, Mode),
            workers: workers(args.workers, args.spare),
            idle_timeout: given(args.idle_timeout, SomeSeconds),
            threads: given(args.threads, i64::from),
            preload: flag(args.preload),
            solo: flag(args.solo),
            script_name: given(args.script_name, same),
            probe: given(args.probe, same),
            probe_host: given(args.probe_host, same),
            probe_timeout: given(args.probe_timeout, SomeSeconds),
            canary: given(args.canary, |share| share.to_string()),
            canary_time: given(args.canary_time, SomeSeconds),
            queue: given(args.queue, i64::from),
            queue_timeout: given(args.queue_timeout, |time| Limit(Some(time))),
            slow_request: given(args.slow_request, |time| Limit(Some(time))),
            request_timeout: given(args.request_timeout, |time| Limit(Some(time))),
            request_grace: given(args.request_grace, Seconds),
            max_requests: given(args.max_requests, i64::from),
            max_requests_jitter: given(args.max_requests_jitter, i64::from),
            max_age: given(args.max_age, SomeSeconds),
            max_memory: given(args.max_memory, Size),
            max_body: given(args.max_body, Size),
            max_params: given(args.max_params, Size),
            ..WrittenApp::default()
        };
        Self {
            gateway_user: given(args.gateway_user, same),
            gateway_group: given(args.gateway_group, same),
            graceful_timeout: given(args.graceful_timeout, Seconds),
            read_timeout: given(args.read_timeout, SomeSeconds),
            write_timeout: given(args.write_timeout, SomeSeconds),
            keep_timeout: given(args.keep_timeout, SomeSeconds),
            control: given(args.control, same),
            control_group: given(args.control_group, same),
            status: given(args.status, same),
            status_allow: words(args.status_allow),
            log: given(args.logs.log, same),
            log_level: Some(plain(args.logs.log_level)),
            log_format: Some(plain(args.logs.log_format)),
            access_log: given(args.logs.access_log, same),
            access_log_format: given(args.logs.access_log_format, same),
            capture_output: Some(plain(args.logs.capture_output == Capture::On)),
            make_request_ids: Some(plain(args.logs.make_request_ids)),
            otlp: given(args.logs.otlp, same),
            otlp_sample: given(args.logs.otlp_sample, same),
            listen,
            apps: [(plain(String::new()), plain(app))].into(),
            // What is said of the one app is said of all.
            ..Self::default()
        }
    }
}
