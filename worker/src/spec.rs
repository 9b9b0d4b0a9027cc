//! How a user names an app: `module:callable`, `module:factory()`, `module`,
//! `path/to/file.py`, `path/to/file.py:name`.

use std::path::{Path, PathBuf};

/// An app's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AppSpec {
    pub(crate) place: Place,
    /// `None`: to be found under the usual names.
    pub(crate) object: Option<Object>,
}

/// Where the app is defined.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A dotted module name.
    Module(String),
    /// A file with Python source.
    File(PathBuf),
}

/// What the app is called there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Attribute names, one after the other.
    pub(crate) path: Vec<String>,
    /// Whether it is to be called without arguments to get the app.
    pub(crate) factory: bool,
}

/// Why a name can't be an app's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpecError(pub(crate) String);

impl AppSpec {
    /// Takes a name apart. `is_file` says whether a path is a file, so that one
    /// without an extension is known from a module.
    pub(crate) fn parse(text: &str, is_file: impl Fn(&Path) -> bool) -> Result<Self, SpecError> {
        // A path may have a colon in it.
        if text.contains(':') && is_file(Path::new(text)) {
            return Ok(Self { place: Place::File(text.into()), object: None });
        }
        let (place, object) = match text.rsplit_once(':') {
            Some((place, object)) => (place, Some(Object::parse(text, object)?)),
            None => (text, None),
        };
        // `package.wsgi` is a module where there is no such file, and `app` is
        // one where there is an app.py beside a file `app`.
        let file = || is_file(Path::new(place)) && !is_file(Path::new(&format!("{place}.py")));
        if place.contains('/') || place.ends_with(".py") || file() {
            return Ok(Self { place: Place::File(place.into()), object });
        }
        if place.split('.').all(is_identifier) {
            return Ok(Self { place: Place::Module(place.into()), object });
        }
        let name = if place.is_empty() { text } else { place };
        Err(SpecError(format!(
            "{name:?} is neither a module's name nor an existing file; an app is named as \
             module:callable, module:factory(), module or path/to/file.py"
        )))
    }
}

impl Object {
    fn parse(text: &str, object: &str) -> Result<Self, SpecError> {
        let (path, factory) = match object.strip_suffix("()") {
            Some(path) => (path, true),
            None => (object, false),
        };
        if path.split('.').all(is_identifier) {
            return Ok(Self { path: path.split('.').map(String::from).collect(), factory });
        }
        Err(SpecError(if object.contains('(') {
            format!("in {text:?}, a factory is called without arguments: write name()")
        } else {
            format!("in {text:?}, what follows the colon is not a Python name")
        }))
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join("."))?;
        f.write_str(if self.factory { "()" } else { "" })
    }
}

/// Close to Python's rule, which knows a few more letters.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AppSpec, SpecError> {
        let files = ["passenger", "a:b", "site.wsgi", "both", "both.py"];
        AppSpec::parse(text, |path| files.iter().any(|file| path == Path::new(file)))
    }

    fn object(path: &[&str], factory: bool) -> Option<Object> {
        Some(Object { path: path.iter().copied().map(String::from).collect(), factory })
    }

    #[test]
    fn every_form_is_understood() {
        let module = |name: &str| Place::Module(name.into());
        let file = |path: &str| Place::File(path.into());
        for (text, place, object) in [
            ("app", module("app"), None),
            ("site.wsgi", file("site.wsgi"), None),
            ("site.wsgi:app", file("site.wsgi"), object(&["app"], false)),
            ("package.wsgi", module("package.wsgi"), None),
            ("dir/x.wsgi", file("dir/x.wsgi"), None),
            ("a.b.c", module("a.b.c"), None),
            ("app:application", module("app"), object(&["application"], false)),
            ("app:a.b", module("app"), object(&["a", "b"], false)),
            ("app:make()", module("app"), object(&["make"], true)),
            ("app.py", file("app.py"), None),
            ("dir/app.py:api", file("dir/app.py"), object(&["api"], false)),
            ("dir/app", file("dir/app"), None),
            ("/srv/x.wsgi:make()", file("/srv/x.wsgi"), object(&["make"], true)),
            ("passenger", file("passenger"), None),
            ("passenger:app", file("passenger"), object(&["app"], false)),
            ("a:b", file("a:b"), None),
            ("both", module("both"), None),
            ("both:app", module("both"), object(&["app"], false)),
            ("./both", file("./both"), None),
            ("größe:äpp", module("größe"), object(&["äpp"], false)),
        ] {
            assert_eq!(parse(text), Ok(AppSpec { place, object }), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, why) in [
            ("", "neither a module"),
            (":app", "neither a module"),
            ("my-app", "neither a module"),
            ("a..b", "neither a module"),
            ("1a:app", "neither a module"),
            ("app:", "not a Python name"),
            ("app:1", "not a Python name"),
            ("app:a.", "not a Python name"),
            ("app:()", "without arguments"),
            ("app:make(1)", "without arguments"),
        ] {
            let SpecError(error) = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
