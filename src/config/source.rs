//! Where a configuration was written, so that a mistake in it can be pointed at.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

use super::mistake::Mistake;

/// A configuration that can't be used: where it says so, what is wrong, and what
/// to do.
#[derive(Debug, Error)]
#[error("{}{}", .0.place, .0.mistake)]
pub struct ConfigError(Box<Found>);

#[derive(Debug)]
struct Found {
    place: Place,
    mistake: Mistake,
}

/// Where a value stands.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere: it is about the whole.
    Whole,
    /// An option, or APP.
    Option(String),
    /// In a file: line and column count from 1, in characters.
    File { path: PathBuf, line: usize, column: usize, key: Option<String> },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Option(option) => write!(f, "{option} "),
            Self::File { path, line, column, key } => {
                write!(f, "{}:{line}:{column}: ", path.display())?;
                key.as_ref().map_or(Ok(()), |key| write!(f, "{key} "))
            }
        }
    }
}

/// What was read.
#[derive(Debug)]
pub(super) enum Source {
    CommandLine,
    File { path: PathBuf, text: String },
}

impl Source {
    /// A mistake in the value of this key, which stands at these bytes.
    pub(super) fn at(&self, key: &str, span: Range<usize>, mistake: Mistake) -> ConfigError {
        let place = match self {
            Self::CommandLine => Place::Option(option(key)),
            // Listeners have it in a section of its own.
            Self::File { .. } => {
                let key = key.strip_prefix("listen.").unwrap_or(key);
                self.point(span.start, Some(key.to_owned()))
            }
        };
        ConfigError(Box::new(Found { place, mistake }))
    }

    /// A mistake at these bytes that is not about the value of a key.
    pub(super) fn here(&self, span: Range<usize>, mistake: Mistake) -> ConfigError {
        ConfigError(Box::new(Found { place: self.point(span.start, None), mistake }))
    }

    /// A mistake in the whole.
    pub(super) fn whole(&self, mistake: Mistake) -> ConfigError {
        self.here(0..0, mistake)
    }

    fn point(&self, at: usize, key: Option<String>) -> Place {
        let Self::File { path, text } = self else { return Place::Whole };
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place::File { path: path.clone(), line, column, key }
    }

    /// The key to whose value these bytes belong, as far as its line tells.
    pub(super) fn key_at(&self, at: usize) -> Option<String> {
        let Self::File { text, .. } = self else { return None };
        let before = text.get(..at)?.rsplit('\n').next()?;
        let key = before.split(['=', '{', ',']).rfind(|part| !part.trim().is_empty())?.trim();
        let is_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (before.contains('=') && key.chars().all(is_key)).then(|| key.to_owned())
    }
}

/// What a key is called on the command line.
fn option(key: &str) -> String {
    match key {
        "listen.group" => "--socket-group".to_owned(),
        "app" => "APP".to_owned(),
        "mode" | "owner" => format!("--socket-{key}"),
        key => format!("--{key}"),
    }
}
