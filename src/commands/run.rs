//! `flupd run SCRIPT`, and `flupd SCRIPT`: a program that a web server starts,
//! with the listening socket as its standard input, or for one CGI request.

mod become_python;
mod options;
mod parent;
mod start;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use nix::unistd::{Uid, User, setgroups, setresgid, setresuid};

use self::options::Options;
use self::start::Start;
use super::serve;
use crate::cli::{Cli, RunArgs};
use crate::config::{Protocol, ServeConfig};
use crate::gateway::cgi::FAILED;
use crate::gateway::excuse;
use crate::inherited;
use crate::supervisor::{Beginning, Lineage};

/// Exit status when Python can't be started.
const FAILURE: u8 = 1;

/// Does what the command line says, or says why not: on standard error, or where
/// nobody reads that, to the web server. `words` is that command line.
pub fn run(args: &RunArgs, words: Vec<OsString>) -> ExitCode {
    let script = PathBuf::from(args.script());
    let here = Start::here();
    let spare = (here == Some(Start::Alone) && excuse::is_needed()).then(inherited::spare_stdin);
    let protocol = if spare.is_some() && options::ask_for_scgi(&words, &script) {
        Protocol::Scgi
    } else {
        Protocol::Fastcgi
    };
    let beginning = Beginning::on(spare.and_then(Result::ok));
    let refused = |error: anyhow::Error, status| {
        let why = format!("{error:#}");
        eprintln!("flupd: {}: {why}", script.display());
        if here == Some(Start::Cgi) {
            // A web server that has gone needs no answer.
            let _ = std::io::stdout().write_all(FAILED);
        }
        beginning.fail(&why);
        ExitCode::from(status)
    };
    let prepared = Options::gather(args, words, &script).and_then(|options| {
        let start = Start::of(&options)?;
        if start == Start::Alone || start == Start::Supervised && here.is_some() {
            parent::end_with_it(options.with_parent)?;
        }
        // Who asks for one thread gets one, whatever the script's own server has.
        let lends = matches!(start, Start::Alone | Start::ByHand) && !options.serve.solo;
        let nowhere = start.nowhere(&options);
        Ok((start, lends, nowhere, config(options, start)?))
    });
    let status = match prepared {
        Ok((Start::Supervised, _, _, config)) => {
            // A reload is for the code: the web server chose the options.
            let again = config.clone();
            let source = Arc::new(move || Ok(again.clone()));
            serve::supervise(config, source, Lineage::default(), &beginning)
        }
        Ok((start, lends, nowhere, config)) => {
            let Err(error) = become_python::serve(&config, start, lends, nowhere);
            refused(error, FAILURE)
        }
        Err(error) => refused(error, serve::USAGE),
    };
    if let Some((socket, why)) = beginning.failure()
        && become_nobody().is_ok()
        && parent::end_with_it(None).is_ok()
    {
        // Where that fails there is nobody left to tell.
        let _ = excuse::tell(socket, protocol, &script.to_string_lossy(), &why);
    }
    status
}

/// Gives root's rights away: no byte of a peer's is read with them.
fn become_nobody() -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let nobody = User::from_name("nobody")?.context("there is no user nobody")?;
    setgroups(&[nobody.gid])?;
    setresgid(nobody.gid, nobody.gid, nobody.gid)?;
    setresuid(nobody.uid, nobody.uid, nobody.uid)?;
    Ok(())
}

/// Makes this command line of `flupd run` out of what was written: `flupd SCRIPT`
/// means `flupd run SCRIPT`, as a script's first line, `#!/usr/bin/env flupd`, calls
/// it; and what follows the script is the script's, whatever it looks like.
pub fn understand(words: &mut Vec<OsString>) {
    let mut cli = Cli::whole();
    let Some(first) = words.get(1) else { return };
    let text = first.to_string_lossy();
    let known = text.starts_with('-') || cli.find_subcommand(&*text).is_some();
    if !known && (text.contains('/') || Path::new(first).is_file()) {
        words.insert(1, "run".into());
    }
    if words.get(1).is_some_and(|first| first == "run")
        && let Some(run) = cli.find_subcommand_mut("run")
        && let Some(script) = script_at(run, words)
    {
        words.insert(script + 1, "--".into());
    }
}

/// Where the script stands: it is the first word that is neither an option nor an
/// option's value.
fn script_at(run: &clap::Command, words: &[OsString]) -> Option<usize> {
    let mut words = words.iter().enumerate().skip(2);
    while let Some((at, word)) = words.next() {
        let word = word.to_string_lossy();
        let Some(option) = word.strip_prefix("--") else { return Some(at) };
        if option.is_empty() {
            return None;
        }
        let takes = |arg: &clap::Arg| arg.get_action().takes_values();
        if run.get_arguments().any(|arg| arg.get_long() == Some(option) && takes(arg)) {
            words.next();
        }
    }
    None
}

fn config(options: Options, start: Start) -> anyhow::Result<ServeConfig> {
    let Options { mut serve, arguments, script, .. } = options;
    if start != Start::Supervised {
        // What is asked for workers is for another way to be started.
        (serve.workers, serve.threads) = (None, None);
        (serve.spare, serve.idle_timeout) = (None, None);
        (serve.preload, serve.solo) = (false, true);
    }
    // --chdir is entered first, and the script is meant from here.
    let script = std::path::absolute(script)?;
    serve.app = Some(script.to_str().context("the path is not UTF-8")?.to_owned());
    let mut config = ServeConfig::read(serve)?;
    config.apps.values_mut().for_each(|app| app.script = Some(arguments.clone()));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> String {
        let mut words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        understand(&mut words);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_follows_the_script_is_its_own() {
        for (written, meant) in [
            ("flupd ./app.fcgi", "flupd run ./app.fcgi --"),
            ("flupd Cargo.toml -x --workers", "flupd run Cargo.toml -- -x --workers"),
            ("flupd run --workers 2 app --solo", "flupd run --workers 2 app -- --solo"),
            ("flupd run --solo --path=x app a", "flupd run --solo --path=x app -- a"),
            ("flupd run --solo -- app a", "flupd run --solo -- app a"),
            ("flupd run --workers", "flupd run --workers"),
            ("flupd serve app", "flupd serve app"),
            ("flupd no-such", "flupd no-such"),
            ("flupd --version", "flupd --version"),
            ("flupd", "flupd"),
        ] {
            assert_eq!(understood(written), meant);
        }
    }
}
