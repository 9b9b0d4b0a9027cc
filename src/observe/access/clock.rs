//! `%t`: the time of a request, in the server's time zone.

use std::fmt::Write;
use std::time::SystemTime;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Local};

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFormat {
    /// The end of the request instead of its beginning.
    end: bool,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// `[10/Oct/2000:13:55:36 -0700]`.
    Common,
    /// `strftime(3)`.
    Items(Vec<Item<'static>>),
    /// Since 1970, in a unit of so many to the second.
    Since(u64),
    /// The part of the current second, in the same way.
    Fraction(u64),
}

/// The form of `%t` without a name, but for the brackets.
const COMMON: &str = "%d/%b/%Y:%H:%M:%S %z";

impl TimeFormat {
    /// The name in the braces of `%{NAME}t`: Apache's, or a format of
    /// `strftime(3)`, with `begin:` or `end:` in front.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, String> {
        let name = name.unwrap_or_default();
        let (end, name) = match (name.strip_prefix("end:"), name.strip_prefix("begin:")) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            (None, None) => (false, name),
        };
        let form = match name {
            "" => Form::Common,
            "sec" => Form::Since(1),
            "msec" => Form::Since(1_000),
            "usec" => Form::Since(1_000_000),
            "msec_frac" => Form::Fraction(1_000),
            "usec_frac" => Form::Fraction(1_000_000),
            format => {
                let items: Vec<_> = StrftimeItems::new(format).map(Item::to_owned).collect();
                if items.contains(&Item::Error) {
                    return Err(format!("{format:?} is no format of strftime(3)"));
                }
                Form::Items(items)
            }
        };
        Ok(Self { end, form })
    }

    /// Whether it is a plain number.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self.form, Form::Since(_))
    }
}

/// Writes times. Many requests begin in the same second, whose text is kept.
#[derive(Debug, Default)]
pub struct Clock {
    second: i64,
    common: String,
}

impl Clock {
    /// Appends a time.
    pub(super) fn write(
        &mut self,
        format: &TimeFormat,
        (begin, end): (SystemTime, SystemTime),
        out: &mut String,
    ) {
        let time = if format.end { end } else { begin };
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Writing to a string fails only if an item is wrong, which was checked.
        let _ = match &format.form {
            Form::Common => {
                let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
                if self.common.is_empty() || self.second != second {
                    self.second = second;
                    self.common = DateTime::<Local>::from(time).format(COMMON).to_string();
                }
                write!(out, "[{}]", self.common)
            }
            Form::Items(items) => {
                write!(out, "{}", DateTime::<Local>::from(time).format_with_items(items.iter()))
            }
            Form::Since(units) => {
                let fraction = u64::from(since.subsec_nanos()) * units / 1_000_000_000;
                write!(out, "{}", since.as_secs() * units + fraction)
            }
            Form::Fraction(units) => {
                let digits = units.ilog10() as usize;
                write!(out, "{:0digits$}", u64::from(since.subsec_nanos()) * units / 1_000_000_000)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn written(name: Option<&str>) -> String {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_000_000_012_345);
        let mut out = String::new();
        let format = TimeFormat::parse(name).unwrap();
        Clock::default().write(&format, (begin, begin + Duration::from_secs(2)), &mut out);
        out
    }

    #[test]
    fn times_in_all_forms() {
        assert_eq!(written(Some("sec")), "1000000000");
        assert_eq!(written(Some("end:sec")), "1000000002");
        assert_eq!(written(Some("msec")), "1000000000012");
        assert_eq!(written(Some("begin:usec")), "1000000000012345");
        assert_eq!(written(Some("msec_frac")), "012");
        assert_eq!(written(Some("usec_frac")), "012345");
        assert_eq!(written(Some("%s.%3f")), "1000000000.012");
        let common = written(None);
        let read = DateTime::parse_from_str(&common, &format!("[{COMMON}]")).unwrap();
        assert_eq!(read.timestamp(), 1_000_000_000);
        assert_eq!(written(Some("end:")).len(), common.len());
    }

    #[test]
    fn what_strftime_does_not_know_is_refused() {
        assert!(TimeFormat::parse(Some("%Y-%Q")).is_err());
        assert!(TimeFormat::parse(Some("seconds!")).is_ok_and(|format| !format.is_number()));
    }
}
