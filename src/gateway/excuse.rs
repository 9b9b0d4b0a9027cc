//! The last words of a program that a web server has started and that can't serve.
//!
//! Where standard error leads to nobody, as under spawn-fcgi, the web server's own
//! error log is the one place left, and FastCGI has a way there: STDERR records. So
//! the program stays for its first requests, answers them 503, and says why.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SigSet};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::front::Front;
use super::{park, runtime};
use crate::config::{
    AppId, GatewayApp, GatewayConfig, Limits, ListenerConfig, Protocol, Role, Timeouts,
};
use crate::observe::log::{LogConfig, LogFormat, LogLevel};

/// How long the first request is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long those that came together with the first are answered. Then whoever
/// watches this process may start the next one, which may be repaired.
const FURTHER: Duration = Duration::from_secs(1);

/// How long clients may take to fetch their answers after that.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often it is looked whether a request has come.
const LOOK: Duration = Duration::from_millis(50);

/// The longest reason that is told, in bytes. Its end says most.
const MAX_REASON: usize = 8 * 1024;

/// Whether what is written to standard error is read by nobody: it is `/dev/null`,
/// which Rust also puts in the place of one that is closed.
pub fn is_needed() -> bool {
    let is_null = |fd| {
        let (told, null) = (rustix::fs::fstat(fd).ok()?, rustix::fs::stat("/dev/null").ok()?);
        Some(told.st_rdev == null.st_rdev && told.st_mode == null.st_mode)
    };
    is_null(rustix::stdio::stderr()).unwrap_or(false)
}

/// Answers the first requests on this socket, all of them with the reason for the
/// web server's log. `program` is what can't serve.
///
/// # Errors
/// When the system does not let it.
pub fn tell(socket: OwnedFd, protocol: Protocol, program: &str, why: &str) -> anyhow::Result<()> {
    let runtime = runtime().context("the runtime can't start")?;
    let done = runtime.block_on(answer(socket, protocol, &reason(program, why)));
    runtime.shutdown_background();
    park::end();
    done
}

async fn answer(socket: OwnedFd, protocol: Protocol, why: &str) -> anyhow::Result<()> {
    let config = configuration(protocol);
    let (reports, _nobody) = mpsc::unbounded_channel();
    let front = Front::new(&config, reports, None, Arc::default());
    front.configure(&config, vec![socket])?;
    let app = front.app(AppId::default()).context("the app is not known")?;
    app.pool().never(Rc::from(why));
    let asked = async {
        let begun = Instant::now();
        while app.refused() == 0 {
            if begun.elapsed() > PATIENCE {
                return;
            }
            sleep(LOOK).await;
        }
        sleep(FURTHER).await;
    };
    tokio::select! {
        () = asked => {}
        () = ended()? => {}
    }
    front.stop().await;
    let emptied = async {
        while !front.is_empty() {
            front.emptied().await;
        }
    };
    // Whoever keeps an idle connection has its answers.
    let _ = timeout(FAREWELL, emptied).await;
    Ok(())
}

/// Waits for a signal that ends a program. Whatever was to be done at one before is
/// not done any more.
fn ended() -> io::Result<impl Future<Output = ()>> {
    let kinds = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];
    let kind = |number| SignalKind::from_raw(number as i32);
    let signals: io::Result<Vec<_>> = kinds.iter().map(|one| signal(kind(*one))).collect();
    let mut signals = signals?;
    // A supervisor may have them held.
    kinds.into_iter().collect::<SigSet>().thread_unblock()?;
    Ok(poll_fn(move |context| {
        let came = signals.iter_mut().any(|one| one.poll_recv(context).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    }))
}

/// One app for everything that may be asked.
fn configuration(protocol: Protocol) -> GatewayConfig {
    let app = AppId::default();
    GatewayConfig {
        listeners: vec![ListenerConfig {
            protocol,
            address: "fd:0".to_owned(),
            apps: vec![app],
            roles: vec![Role::Responder, Role::Authorizer, Role::Filter],
            allow: Vec::new(),
        }],
        apps: BTreeMap::from([(app, GatewayApp { concurrency: 1, ..GatewayApp::default() })]),
        alone: true,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        log: LogConfig { level: LogLevel::Warn, format: LogFormat::Text, journal: false },
        access: None,
        make_ids: false,
        otlp: None,
    }
}

/// What a log that shows one line, or cuts a long text, shows of a traceback: its
/// last line stands in front.
fn reason(program: &str, why: &str) -> String {
    let why = why.trim_end();
    let last = why.lines().last().unwrap_or_default().trim_start();
    let mut begin = why.len().saturating_sub(MAX_REASON);
    while !why.is_char_boundary(begin) {
        begin += 1;
    }
    let whole = why.get(begin..).unwrap_or_default();
    match why.contains('\n') {
        true => format!("flupd: {program} can't serve: {last}\n{whole}\n"),
        false => format!("flupd: {program} can't serve: {last}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_comes_first() {
        assert_eq!(reason("a.fcgi", "no Python"), "flupd: a.fcgi can't serve: no Python\n");
        let text = "running a.fcgi failed\nTraceback:\n  x\nNameError: x\n";
        let told = reason("a.fcgi", text);
        assert_eq!(told, format!("flupd: a.fcgi can't serve: NameError: x\n{text}"));
    }

    #[test]
    fn a_long_reason_keeps_its_end() {
        let told = reason("a", &format!("{}\nTypeError: é", "é".repeat(MAX_REASON)));
        assert!(told.len() < MAX_REASON + 100);
        assert!(told.ends_with("éé\nTypeError: é\n"));
    }
}
