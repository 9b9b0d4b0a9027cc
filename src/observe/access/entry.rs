//! What is known of a request at its end, and how it becomes a line.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use cgi::{Params, ResponseHead};
use flupd_channel::cost::Cost;

use super::clock::Clock;
use super::escape;
use super::field::{Field, Mode, Span, Unit};
use super::format::{Format, Piece, Place};
use crate::observe::trace_context::TraceParent;

/// The longest line, in bytes. What is past that is cut.
const MAX_LINE: usize = 32 * 1024;

/// One request.
#[derive(Debug)]
pub struct LogEntry<'e> {
    /// What the web server told, as the app gets it; none if that never came
    /// whole.
    pub params: Option<&'e Params>,
    /// The head of the answer, where there is one.
    pub head: Option<&'e ResponseHead>,
    /// The status that the client was sent.
    pub status: Option<u16>,
    /// When it ended.
    pub end: SystemTime,
    /// Its times.
    pub times: Times,
    /// What it has cost its worker, where that is known.
    pub cost: Option<Cost>,
    /// Bytes of params and body.
    pub bytes_in: u64,
    /// Bytes of the answer's head.
    pub head_bytes: u64,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// The app's name.
    pub app: Option<&'e str>,
    /// Who had it, last.
    pub seat: Option<Seated>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why flupd answered by itself.
    pub why: Option<&'e str>,
    /// How many workers have begun it, or were to begin it.
    pub attempts: u8,
    /// The web server's end of the connection.
    pub peer: &'e str,
    /// Whether the connection lives on.
    pub kept: bool,
}

/// Where a request was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seated {
    /// The worker's number.
    pub worker: u64,
    /// Its process.
    pub pid: u32,
    /// Its app thread, from 1 on.
    pub thread: usize,
}

/// How long what took. What is not known is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// From the first byte of the request to the end of its answer.
    pub whole: Duration,
    /// From the first byte of the request to the first of the answer.
    pub first_byte: Option<Duration>,
    /// Until the request had arrived whole.
    pub receive: Option<Duration>,
    /// From there until an app thread took it.
    pub queue: Option<Duration>,
    /// From there until the thread had the interpreter.
    pub gil: Option<Duration>,
    /// From there until the app had ended.
    pub app: Option<Duration>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its answer went out whole.
    Complete,
    /// Its answer went out in part.
    Cut,
    /// The client, or the web server, went away.
    Aborted,
    /// flupd answered by itself.
    Refused,
}

impl Outcome {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
        }
    }
}

/// A value, not yet escaped.
enum Value<'v> {
    /// From outside.
    Text(Cow<'v, [u8]>),
    /// Made here: it needs no escapes.
    Ours(String),
    Number(u64),
    Missing,
}

impl<'v> Value<'v> {
    fn text(text: Option<&'v [u8]>) -> Self {
        text.filter(|text| !text.is_empty()).map_or(Self::Missing, |t| Self::Text(t.into()))
    }

    fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Missing, |number| Self::Number(number.into()))
    }
}

impl Format {
    /// Appends the line of this request, its end included.
    pub fn write(&self, entry: &LogEntry<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
        let begin = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Value(placed) => {
                    let shown = placed.only.as_ref().is_none_or(|only| only.hold(entry.status));
                    let value =
                        if shown { entry.value(&placed.field, clock) } else { Value::Missing };
                    put(&value, placed.place, out);
                }
            }
        }
        out.truncate(begin + MAX_LINE);
        out.push(b'\n');
    }
}

fn put(value: &Value<'_>, place: Place, out: &mut Vec<u8>) {
    let json = matches!(place, Place::Number | Place::String | Place::InString);
    let quotes: &[u8] = match (place, value) {
        (Place::Number | Place::String, Value::Missing) => return out.extend(b"null"),
        (Place::String, _) => b"\"",
        _ => b"",
    };
    out.extend(quotes);
    match value {
        Value::Text(text) if json => escape::json(text, out),
        Value::Text(text) => escape::text(text, place == Place::Quoted, out),
        Value::Ours(text) if json => escape::json(text.as_bytes(), out),
        Value::Ours(text) => out.extend(text.as_bytes()),
        Value::Number(number) => out.extend(number.to_string().into_bytes()),
        Value::Missing => out.push(b'-'),
    }
    out.extend(quotes);
}

impl<'e> LogEntry<'e> {
    fn value(&self, field: &Field, clock: &mut Clock) -> Value<'e> {
        match field {
            Field::Param(name) => Value::text(self.param(name.as_bytes())),
            Field::NamedParam(name) => Value::text(self.param(name)),
            Field::ResponseHeader(name) => Value::text(self.response_header(name)),
            Field::Cookie(name) => {
                let cookies = self.param(b"HTTP_COOKIE").unwrap_or_default();
                Value::text(cookie(cookies, name))
            }
            Field::RequestLine => self.request_line(),
            Field::Uri => self.uri().map_or(Value::Missing, Value::Text),
            Field::Path => self.path().map_or(Value::Missing, Value::Text),
            Field::Query => match self.param(b"QUERY_STRING") {
                Some(query @ [_, ..]) => Value::Text([b"?", query].concat().into()),
                // Nothing, not a dash: it stands right behind the path.
                _ => Value::Ours(String::new()),
            },
            Field::Status => Value::number(self.status),
            Field::BodyBytes => Value::Number(self.body_bytes),
            Field::SomeBodyBytes => Value::number(Some(self.body_bytes).filter(|bytes| *bytes > 0)),
            Field::BytesIn => Value::Number(self.bytes_in),
            Field::BytesOut => Value::Number(self.head_bytes + self.body_bytes),
            Field::BytesBoth => Value::Number(self.bytes_in + self.head_bytes + self.body_bytes),
            Field::Time(format) => {
                let mut text = String::new();
                let begin = self.end.checked_sub(self.times.whole).unwrap_or(self.end);
                clock.write(format, (begin, self.end), &mut text);
                Value::Ours(text)
            }
            Field::Lasted(span, unit) => {
                self.times.get(*span).map_or(Value::Missing, |t| lasted(t, *unit))
            }
            Field::Cpu(mode) => self.cpu_per_cent(*mode).map_or(Value::Missing, Value::Ours),
            Field::CpuMicros => Value::number(self.cost.map(|cost| Mode::Both.of(cost))),
            Field::Peak(unit) => Value::number(self.cost.map(|cost| cost.peak / unit)),
            Field::Connection => Value::Ours(self.connection().to_owned()),
            Field::Id => Value::text(self.params.and_then(request_id)),
            Field::TraceId => {
                let trace = self.params.and_then(TraceParent::of).map(|parent| parent.trace);
                trace.map_or(Value::Missing, |trace| Value::Ours(trace.to_string()))
            }
            Field::Pid => Value::number(self.seat.map(|seat| seat.pid)),
            Field::Thread => Value::number(self.seat.map(|seat| seat.thread as u64)),
            Field::Worker => Value::number(self.seat.map(|seat| seat.worker)),
            Field::App => Value::text(self.app.map(str::as_bytes)),
            Field::Outcome => Value::Ours(self.outcome.name().to_owned()),
            Field::Why => Value::text(self.why.map(str::as_bytes)),
            Field::Attempts => Value::Number(self.attempts.into()),
            Field::Peer => Value::text(Some(self.peer.as_bytes())),
        }
    }

    fn param(&self, name: &[u8]) -> Option<&'e [u8]> {
        self.params?.get(name).filter(|value| !value.is_empty())
    }

    fn response_header(&self, name: &[u8]) -> Option<&'e [u8]> {
        let mut headers = self.head?.headers.iter();
        headers.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn request_line(&self) -> Value<'e> {
        let parts = [
            self.param(b"REQUEST_METHOD").map(Cow::Borrowed),
            self.uri(),
            self.param(b"SERVER_PROTOCOL").map(Cow::Borrowed),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { Value::Missing } else { Value::Text(parts.join(&b' ').into()) }
    }

    /// As the client sent it, or what comes nearest.
    fn uri(&self) -> Option<Cow<'e, [u8]>> {
        if let Some(uri) = self.param(b"REQUEST_URI") {
            return Some(uri.into());
        }
        let path = self.path()?;
        Some(match self.param(b"QUERY_STRING") {
            Some(query) => [&path, &b"?"[..], query].concat().into(),
            None => path,
        })
    }

    fn path(&self) -> Option<Cow<'e, [u8]>> {
        if let Some(uri) = self.param(b"REQUEST_URI") {
            return uri.split(|byte| *byte == b'?').next().map(Cow::Borrowed);
        }
        let part = |name| self.param(name).unwrap_or_default();
        let path = [part(b"SCRIPT_NAME"), part(b"PATH_INFO")].concat();
        (!path.is_empty()).then_some(path.into())
    }

    /// CPU time, in per cent of the time for which an app thread had the request.
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    fn cpu_per_cent(&self, mode: Mode) -> Option<String> {
        let spent = mode.of(self.cost?) as f64;
        let had = (self.times.gil? + self.times.app?).as_secs_f64() * 1e6;
        Some(format!("{:.2}", if had > 0.0 { spent / had * 100.0 } else { 0.0 }))
    }

    const fn connection(&self) -> &'static str {
        match self.outcome {
            Outcome::Cut | Outcome::Aborted => "X",
            Outcome::Complete | Outcome::Refused if self.kept => "+",
            Outcome::Complete | Outcome::Refused => "-",
        }
    }
}

impl Times {
    const fn get(&self, span: Span) -> Option<Duration> {
        match span {
            Span::Whole => Some(self.whole),
            Span::FirstByte => self.first_byte,
            Span::Receive => self.receive,
            Span::Queue => self.queue,
            Span::Gil => self.gil,
            Span::App => self.app,
        }
    }
}

fn lasted(time: Duration, unit: Unit) -> Value<'static> {
    let whole = |units: u128| Value::Number(u64::try_from(units).unwrap_or(u64::MAX));
    match unit {
        Unit::Seconds => Value::Number(time.as_secs()),
        Unit::Millis => whole(time.as_millis()),
        Unit::Micros => whole(time.as_micros()),
        Unit::DecimalSeconds => Value::Ours(format!("{:.3}", time.as_secs_f64())),
        Unit::DecimalMillis => Value::Ours(format!("{:.3}", time.as_secs_f64() * 1e3)),
    }
}

/// What the web server calls this request, so that its log, the app's and ours
/// can be joined: `X-Request-Id` of the client or a proxy, nginx's
/// `fastcgi_param REQUEST_ID $request_id`, or Apache's `mod_unique_id`.
#[must_use]
pub fn request_id(params: &Params) -> Option<&[u8]> {
    let names: [&[u8]; 3] = [b"HTTP_X_REQUEST_ID", b"REQUEST_ID", b"UNIQUE_ID"];
    names.into_iter().find_map(|name| params.get(name).filter(|id| !id.is_empty()))
}

/// The value of one cookie (RFC 6265, section 4.2).
fn cookie<'c>(cookies: &'c [u8], name: &[u8]) -> Option<&'c [u8]> {
    cookies.split(|byte| *byte == b';').find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name)?;
        rest.strip_prefix(b"=")
    })
}
