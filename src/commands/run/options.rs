//! What a script is to be run with: its own lines `# flupd: OPTIONS`, and the
//! command line, which counts more.
//!
//! A first line `#!` has room for one word; this has room for all options.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::cli::{Cli, Command, RunArgs, ServeArgs};

/// How a line with options begins.
const MARK: &str = "flupd:";

/// How much of a script is looked at for them, in bytes.
const HEAD: u64 = 64 * 1024;

/// Where a virtualenv is looked for beside the script.
const VIRTUALENVS: [&str; 2] = ["venv", ".venv"];

/// The socket that a web server passes (`FCGI_LISTENSOCK_FILENO`, section 2.2).
pub(super) const PASSED: &str = "fd:0";

/// All options, gathered.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) serve: ServeArgs,
    /// The script as it was written.
    pub(super) script: String,
    /// The script's `sys.argv`.
    pub(super) arguments: Vec<String>,
    /// Whether to end with the process that has started this one, if it is said.
    pub(super) with_parent: Option<bool>,
}

impl Options {
    /// Reads the script's own options, and puts `words`, the command line that
    /// `given` was made of, over them.
    ///
    /// # Errors
    /// When the script can't be read, or an option in it is none.
    pub(super) fn gather(
        given: &RunArgs,
        words: Vec<OsString>,
        script: &Path,
    ) -> anyhow::Result<Self> {
        let own = own(script)?;
        let folder = std::path::absolute(script)?;
        let folder = folder.parent().unwrap_or(Path::new("/"));
        let mut args = with_own(given, own, words, folder)?;
        let serve = &mut args.serve;
        if serve.fastcgi.is_empty() && serve.scgi.is_empty() {
            serve.fastcgi.push(PASSED.into());
        }
        let active = std::env::var_os("VIRTUAL_ENV").is_some_and(|active| !active.is_empty());
        if serve.python.is_none() && !active {
            serve.python = virtualenv(folder);
        }
        let script = args.script().to_owned();
        let mut arguments = vec![script.clone()];
        arguments.append(&mut args.arguments);
        Ok(Self { serve: args.serve, script, arguments, with_parent: args.with_parent })
    }
}

/// Whether these words or the script's own ask for SCGI, also where something else in
/// them is wrong.
pub(super) fn ask_for_scgi(words: &[OsString], script: &Path) -> bool {
    let is_it = |word: &str| word == "--scgi" || word.starts_with("--scgi=");
    let own = || own(script).is_ok_and(|own| own.iter().any(|word| is_it(word)));
    words.iter().any(|word| is_it(&word.to_string_lossy())) || own()
}

/// The words of the script's own lines, which stand before its first code.
fn own(script: &Path) -> anyhow::Result<Vec<String>> {
    let file = File::open(script).context("the script can't be read")?;
    if file.metadata()?.is_dir() {
        bail!("this is a directory; name a script");
    }
    let mut words = Vec::new();
    for line in BufReader::new(file.take(HEAD)).split(b'\n') {
        let line = line.context("the script can't be read")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}').trim();
        let Some(comment) = line.strip_prefix('#') else {
            if line.is_empty() {
                continue;
            }
            break;
        };
        if let Some(options) = comment.trim_start().strip_prefix(MARK) {
            let options = shlex::split(options)
                .with_context(|| format!("a quote is not closed in its line {line:?}"))?;
            words.extend(options);
        }
    }
    Ok(words)
}

/// The command line with the script's own options before its own. Paths among
/// those are meant from the script's `folder`.
fn with_own(
    given: &RunArgs,
    own: Vec<String>,
    mut words: Vec<OsString>,
    folder: &Path,
) -> anyhow::Result<RunArgs> {
    words.splice(2..2, own.iter().map(OsString::from));
    let mut args = match Cli::read(&words) {
        Ok(Cli { command: Command::Run(args) }) => *args,
        Ok(_) => bail!("its lines \"# flupd:\" may hold options of flupd run only"),
        Err(error) => {
            let text = error.to_string();
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return Err(anyhow!("in its lines \"# flupd:\": {what}"));
        }
    };
    if args.script() != given.script() || args.arguments != given.arguments {
        bail!("its lines \"# flupd:\" hold a word that is no option");
    }
    let (serve, said) = (&mut args.serve, &given.serve);
    if !(said.fastcgi.is_empty() && said.scgi.is_empty()) {
        serve.fastcgi.clone_from(&said.fastcgi);
        serve.scgi.clone_from(&said.scgi);
    }
    if said.python.is_none() {
        serve.python = serve.python.take().map(|python| match folder.join(&python) {
            // A bare name may be a command's, such as python3.12.
            here if here.exists() || python.components().count() > 1 => here,
            _ => python,
        });
    }
    if said.chdir.is_none() {
        serve.chdir = serve.chdir.take().map(|dir| folder.join(dir));
    }
    let own_paths = serve.path.len() - said.path.len();
    let inside = serve.chdir.clone().unwrap_or_else(|| folder.to_owned());
    serve.path.iter_mut().take(own_paths).for_each(|path| *path = inside.join(&*path));
    Ok(args)
}

/// The virtualenv beside a script.
fn virtualenv(folder: &Path) -> Option<PathBuf> {
    let places = VIRTUALENVS.map(|name| folder.join(name));
    places.into_iter().find(|place| place.join("pyvenv.cfg").is_file())
}
