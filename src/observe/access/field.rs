//! The fields of a format: which one a directive means.

use flupd_channel::cost::Cost;

use super::clock::TimeFormat;

/// What a directive stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// `%{NAME}e`, and all that is one param: the client's address, a header.
    Param(&'static str),
    /// The same with a name of the administrator's.
    NamedParam(Vec<u8>),
    /// `%{NAME}o`.
    ResponseHeader(Vec<u8>),
    /// `%{NAME}C`.
    Cookie(Vec<u8>),
    /// `%r`: method, URI and protocol.
    RequestLine,
    /// `%{uri}x`: the URI with its query.
    Uri,
    /// `%U`: the URI without its query.
    Path,
    /// `%q`: the query with its question mark.
    Query,
    /// `%s`.
    Status,
    /// `%B`.
    BodyBytes,
    /// `%b`: the same, and no number where there is none.
    SomeBodyBytes,
    /// `%I`, `%O`, `%S`.
    BytesIn,
    BytesOut,
    BytesBoth,
    /// `%t`.
    Time(TimeFormat),
    /// One of the request's times.
    Lasted(Span, Unit),
    /// `%C`: CPU time in per cent.
    Cpu(Mode),
    /// `%{cpu_us}x`.
    CpuMicros,
    /// `%M`: memory, in so many bytes each.
    Peak(u64),
    /// `%X`.
    Connection,
    /// `%L`.
    Id,
    /// `%{trace_id}x`.
    TraceId,
    /// `%P`.
    Pid,
    /// `%{tid}P`.
    Thread,
    /// `%n`.
    App,
    /// `%{worker}x`.
    Worker,
    /// `%{outcome}x`.
    Outcome,
    /// `%{why}x`.
    Why,
    /// `%{attempts}x`.
    Attempts,
    /// `%{peer}x`.
    Peer,
}

/// A stretch of a request's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// From its first byte to the end of its answer.
    Whole,
    /// From its first byte to the first of its answer.
    FirstByte,
    /// Until it had arrived whole.
    Receive,
    /// Until an app thread had it.
    Queue,
    /// Until that thread had the interpreter.
    Gil,
    /// Inside the app.
    App,
}

/// Which part of CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    User,
    System,
    Both,
}

impl Mode {
    /// This part of a cost, in microseconds.
    pub(super) const fn of(self, cost: Cost) -> u64 {
        match self {
            Self::User => cost.user,
            Self::System => cost.system,
            Self::Both => cost.user.saturating_add(cost.system),
        }
    }
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Whole seconds.
    Seconds,
    /// Whole milliseconds.
    Millis,
    /// Whole microseconds.
    Micros,
    /// Seconds with three decimals.
    DecimalSeconds,
    /// Milliseconds with three decimals.
    DecimalMillis,
}

impl Field {
    /// The field of a directive: its letter, and the name in braces before that.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn of(letter: &str, name: Option<&str>) -> Result<Self, String> {
        if let Some(field) = Self::named(letter, name)? {
            return Ok(field);
        }
        let field = match letter {
            "h" | "a" | "R" => Self::Param("REMOTE_ADDR"),
            "A" => Self::Param("SERVER_ADDR"),
            "l" => Self::Param("REMOTE_IDENT"),
            "u" => Self::Param("REMOTE_USER"),
            "f" => Self::Param("SCRIPT_FILENAME"),
            "H" => Self::Param("SERVER_PROTOCOL"),
            "m" => Self::Param("REQUEST_METHOD"),
            "v" | "V" => Self::Param("SERVER_NAME"),
            "r" => Self::RequestLine,
            "U" => Self::Path,
            "q" => Self::Query,
            "s" => Self::Status,
            "B" => Self::BodyBytes,
            "b" => Self::SomeBodyBytes,
            "I" => Self::BytesIn,
            "O" => Self::BytesOut,
            "S" => Self::BytesBoth,
            "D" => Self::Lasted(Span::Whole, Unit::Micros),
            "^FB" => Self::Lasted(Span::FirstByte, Unit::Micros),
            "X" => Self::Connection,
            "L" => Self::Id,
            "n" => Self::App,
            _ => return Err(format!("no field is called %{letter}")),
        };
        match name {
            None => Ok(field),
            Some(_) => Err(format!("%{letter} takes no name in braces")),
        }
    }

    /// Those that can have a name, or must.
    fn named(letter: &str, name: Option<&str>) -> Result<Option<Self>, String> {
        let needed = || match name {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(format!("%{letter} needs a name in braces: %{{NAME}}{letter}")),
        };
        let unknown = |name: &str, known: &str| {
            Err(format!("%{{{name}}}{letter} means nothing; known are {known}"))
        };
        Ok(Some(match letter {
            "i" => Self::NamedParam(header_param(needed()?)),
            "e" => Self::NamedParam(needed()?.as_bytes().to_vec()),
            "o" => Self::ResponseHeader(needed()?.as_bytes().to_vec()),
            // php-fpm's; a cookie of such a name is in %{Cookie}i.
            "C" => match name {
                None | Some("total") => Self::Cpu(Mode::Both),
                Some("user") => Self::Cpu(Mode::User),
                Some("system") => Self::Cpu(Mode::System),
                Some(_) => Self::Cookie(needed()?.as_bytes().to_vec()),
            },
            "M" => Self::Peak(match name {
                None | Some("bytes") => 1,
                Some("kilobytes" | "kilo") => 1024,
                Some("megabytes" | "mega") => 1024 * 1024,
                Some(name) => return unknown(name, "bytes, kilobytes and megabytes"),
            }),
            "t" => Self::Time(TimeFormat::parse(name)?),
            "T" => Self::Lasted(
                Span::Whole,
                match name {
                    None | Some("s") => Unit::Seconds,
                    Some("ms") => Unit::Millis,
                    Some("us") => Unit::Micros,
                    Some(name) => return unknown(name, "s, ms and us"),
                },
            ),
            "d" => Self::Lasted(
                Span::Whole,
                match name {
                    None | Some("seconds") => Unit::DecimalSeconds,
                    Some("milliseconds" | "milli" | "mili") => Unit::DecimalMillis,
                    Some("microseconds" | "micro") => Unit::Micros,
                    Some(name) => return unknown(name, "seconds, milliseconds and microseconds"),
                },
            ),
            "p" => Self::Param(match name {
                None | Some("canonical" | "local") => "SERVER_PORT",
                Some("remote") => "REMOTE_PORT",
                Some(name) => return unknown(name, "canonical, local and remote"),
            }),
            "P" => match name {
                None | Some("pid") => Self::Pid,
                Some("tid") => Self::Thread,
                Some(name) => return unknown(name, "pid and tid"),
            },
            "x" => {
                let name = needed()?;
                match Self::own(name) {
                    Some(field) => field,
                    None => return unknown(name, OWN),
                }
            }
            _ => return Ok(None),
        }))
    }

    /// flupd's own: `%{NAME}x`.
    fn own(name: &str) -> Option<Self> {
        Some(match name {
            "uri" => Self::Uri,
            "worker" => Self::Worker,
            "outcome" => Self::Outcome,
            "why" => Self::Why,
            "attempts" => Self::Attempts,
            "peer" => Self::Peer,
            "trace_id" => Self::TraceId,
            "receive_us" => Self::Lasted(Span::Receive, Unit::Micros),
            "queue_us" => Self::Lasted(Span::Queue, Unit::Micros),
            "gil_us" => Self::Lasted(Span::Gil, Unit::Micros),
            "app_us" => Self::Lasted(Span::App, Unit::Micros),
            "cpu_us" => Self::CpuMicros,
            _ => return None,
        })
    }

    /// Whether it is known only if what a request costs is measured.
    pub(super) const fn is_cost(&self) -> bool {
        matches!(self, Self::Cpu(_) | Self::CpuMicros | Self::Peak(_))
    }

    /// Whether it is a number, where it is anything.
    pub(super) const fn is_number(&self) -> bool {
        match self {
            Self::Time(format) => format.is_number(),
            Self::Status
            | Self::BodyBytes
            | Self::SomeBodyBytes
            | Self::BytesIn
            | Self::BytesOut
            | Self::BytesBoth
            | Self::Lasted(..)
            | Self::Cpu(_)
            | Self::CpuMicros
            | Self::Peak(_)
            | Self::Pid
            | Self::Thread
            | Self::Worker
            | Self::Attempts => true,
            _ => false,
        }
    }
}

/// For error messages: what [`Field::own`] knows.
const OWN: &str = "uri, worker, outcome, why, attempts, peer, trace_id, receive_us, queue_us, gil_us, \
                   app_us and cpu_us";

/// The param in which a request header comes (RFC 3875, section 4.1.18).
fn header_param(name: &str) -> Vec<u8> {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    match upper.as_str() {
        "CONTENT_TYPE" | "CONTENT_LENGTH" => upper.into_bytes(),
        _ => format!("HTTP_{upper}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_own_fields_are_known_by_their_names() {
        for name in OWN.split(" and ").flat_map(|part| part.split(", ")) {
            assert!(Field::own(name).is_some(), "{name}");
        }
        assert_eq!(Field::own("nothing"), None);
    }

    #[test]
    fn headers_are_found_under_their_params() {
        assert_eq!(header_param("User-Agent"), b"HTTP_USER_AGENT");
        assert_eq!(header_param("content-type"), b"CONTENT_TYPE");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = |letter, name| Field::of(letter, name).unwrap_err();
        assert_eq!(error("J", None), "no field is called %J");
        assert_eq!(error("h", Some("x")), "%h takes no name in braces");
        assert_eq!(error("i", None), "%i needs a name in braces: %{NAME}i");
        assert_eq!(error("T", Some("min")), "%{min}T means nothing; known are s, ms and us");
        assert!(error("x", Some("gil")).contains("gil_us"));
    }
}
