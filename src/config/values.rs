//! Values as a user writes them, on the command line and in the file.

mod workers;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

pub use self::workers::{Workers, workers};

/// A longer wait than this is a slip of the pen: one week.
const MAX_SECONDS: f64 = 604_800.0;

/// A size in bytes: `65536`, `256K`, `1M`, `2G` (powers of 1024).
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, or one with K, M or G: 256K".to_owned();
    let (number, unit) = match text.char_indices().next_back() {
        Some((end, 'k' | 'K')) => (&text[..end], 1 << 10),
        Some((end, 'm' | 'M')) => (&text[..end], 1 << 20),
        Some((end, 'g' | 'G')) => (&text[..end], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(|| "this is more than can be counted".to_owned())
}

/// A time in seconds: `30`, `0.5`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Ok(_) => Err(format!("write a number of seconds from 0 to {MAX_SECONDS}")),
        Err(_) => Err("write a number of seconds: 30, or 0.5".to_owned()),
    }
}

/// As [`seconds`], and more than none.
pub fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| match time {
        Duration::ZERO => Err("write more than 0 seconds".to_owned()),
        time => Ok(time),
    })
}

/// A file mode in octal digits: `660`, `0660`, `0o660`.
pub fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 && !digits.starts_with('+') => Ok(mode),
        _ => Err("write a mode in octal digits, at most 0777: 0660".to_owned()),
    }
}

/// A size in bytes: see [`size`]; a bare number will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A time: see [`seconds`]; a bare number will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// As [`Seconds`], but more than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SomeSeconds(pub Duration);

/// A time that is a limit, or `off`: as [`SomeSeconds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

/// A limit as it is written.
pub fn limit(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        text => some_seconds(text).map(Some).map_err(|error| format!("{error}; or off")),
    }
}

/// A file mode: see [`mode`]. As a number it is one that TOML has as octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

/// One text, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

/// Which variables of flupd's own environment an app has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inherit {
    /// `true`: all of them.
    All,
    /// Those of these names; `false`: none.
    Only(Vec<String>),
}

/// A bound on a resource: a [`size`], or `unlimited`, which is the highest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound(pub u64);

/// A bound as it is written.
pub fn bound(text: &str) -> Result<u64, String> {
    match text {
        "unlimited" => Ok(u64::MAX),
        text => size(text).map_err(|error| format!("{error}; or unlimited")),
    }
}

/// Takes a text or a number, and parses it as on the command line.
struct Parsed<T> {
    what: &'static str,
    parse: fn(&str) -> Result<T, String>,
    /// How a number is written so that `parse` takes it as it was meant.
    number: fn(i64) -> String,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let text = (self.number)(number);
        self.visit_str(&text)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| number.to_string();
        from.deserialize_any(Parsed { what: "a size", parse: size, number }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| number.to_string();
        from.deserialize_any(Parsed { what: "a number", parse: bound, number }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| number.to_string();
        from.deserialize_any(Parsed { what: "a number of seconds", parse: seconds, number })
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for SomeSeconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| number.to_string();
        from.deserialize_any(Parsed { what: "a number of seconds", parse: some_seconds, number })
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| number.to_string();
        from.deserialize_any(Parsed { what: "a number of seconds", parse: limit, number }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |number: i64| format!("{number:o}");
        from.deserialize_any(Parsed { what: "a mode", parse: mode, number }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        from.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Inherit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AllOrSome;
        impl<'de> Visitor<'de> for AllOrSome {
            type Value = Inherit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a list of names")
            }

            fn visit_bool<E: Error>(self, all: bool) -> Result<Inherit, E> {
                Ok(if all { Inherit::All } else { Inherit::Only(Vec::new()) })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Inherit, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Inherit::Only(names))
            }
        }
        from.deserialize_any(AllOrSome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("256k"), Ok(256 << 10));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        for wrong in ["", "M", "1.5M", "-1", "1T", "99999999999999G", "1é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "-1", "NaN", "inf", "30s", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("0").is_ok() && some_seconds("0").is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("600"), Ok(0o600));
        assert_eq!(mode("0o666"), Ok(0o666));
        for wrong in ["", "1777", "rw-", "0680", "+660"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
