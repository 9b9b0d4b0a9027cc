//! The configuration file: TOML, read into what is [`Written`] there.

use std::ops::Range;
use std::path::Path;

use super::mistake::Mistake;
use super::source::{ConfigError, Source};
use super::written::Written;

/// What other servers call a key of ours.
const ELSEWHERE: [(&str, &str); 10] = [
    ("directory", "chdir"),
    ("cwd", "chdir"),
    ("virtualenv", "python"),
    ("venv", "python"),
    ("pythonpath", "path"),
    ("module", "app"),
    ("wsgi", "app"),
    ("processes", "workers"),
    ("environment", "env"),
    ("server-name", "host"),
];

/// Reads a file.
///
/// # Errors
/// When it can't be read, or is not of the right form.
pub(super) fn read(path: &Path) -> Result<(Written, Source), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Source::CommandLine.whole(Mistake::Unreadable { path: path.to_owned(), error })
    })?;
    let source = Source::File { path: path.to_owned(), text };
    let written = parse(&source)?;
    Ok((written, source))
}

fn parse(source: &Source) -> Result<Written, ConfigError> {
    let Source::File { text, .. } = source else { return Ok(Written::default()) };
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        explain(source, error.message(), span)
    })
}

/// Says what serde has to say as we do.
fn explain(source: &Source, message: &str, span: Range<usize>) -> ConfigError {
    // As `serde::de::Error` writes them; a test holds this together.
    let told = |start: &str| {
        let (name, all) = message.strip_prefix(start)?.strip_prefix('`')?.split_once('`')?;
        let all: Vec<&str> = all.split('`').skip(1).step_by(2).collect();
        Some((name.to_owned(), all))
    };
    if let Some((key, all)) = told("unknown field ") {
        let renamed = ELSEWHERE.iter().find(|(name, ours)| *name == key && all.contains(ours));
        let hint = match renamed {
            Some((_, ours)) => format!("; did you mean {ours}?"),
            None => hint(&key, all.iter().copied(), "there are"),
        };
        return source.here(span, Mistake::UnknownKey { key, hint });
    }
    if let Some((word, all)) = told("unknown variant ") {
        let hint = nearest(&word, all.iter().copied());
        let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let mistake = Mistake::UnknownWord { word, all: all.join(", "), hint };
        return match source.key_at(span.start) {
            Some(key) => source.at(&key, span, mistake),
            None => source.here(span, mistake),
        };
    }
    let text = message.trim_end().replace('\n', "; ");
    match source.key_at(span.start) {
        Some(key) => {
            let mistake = Mistake::Syntax(text);
            source.at(&format!("{key}:"), span, mistake)
        }
        None => source.here(span, Mistake::Syntax(text)),
    }
}

/// What may have been meant by a name that is none of these.
pub(super) fn hint<'n>(
    name: &str,
    all: impl Iterator<Item = &'n str> + Clone,
    there_are: &str,
) -> String {
    match nearest(name, all.clone()) {
        Some(near) => format!("; did you mean {near}?"),
        None => format!("; {there_are} {}", all.collect::<Vec<_>>().join(", ")),
    }
}

/// The name that is most like this one, if one is like it at all.
pub(super) fn nearest<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let distances = all.map(|one| (strsim::damerau_levenshtein(&name, one), one));
    let (distance, near) = distances.min()?;
    (distance <= 1 + near.len() / 4).then_some(near)
}

#[cfg(test)]
mod tests;
