//! The messages of OTLP 1.x that flupd sends, with the numbers of opentelemetry-proto's
//! `trace.proto`, `common.proto` and `resource.proto`. Fields of which flupd has no use
//! are left out; the numbers of a released message never change.

use prost::{Enumeration, Message, Oneof};

use crate::config::otlp::Otlp;
use crate::gateway::spans::attributes::Value as Told;
use crate::gateway::spans::span::Span as Made;
use crate::observe::trace_context::TraceParent;

/// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(enumeration = "Kind", tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(enumeration = "StatusCode", tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3, 4")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum Kind {
    Unspecified = 0,
    Server = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum StatusCode {
    Unset = 0,
    Error = 2,
}

/// Which conventions the names of attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Bits of a span's flags beside those of W3C: it is known where the parent is, and that
/// is elsewhere.
const REMOTE_PARENT: u32 = 0x300;

/// What is the same in all messages.
#[derive(Debug)]
pub(super) struct Frame {
    resource: Resource,
    scope: Scope,
}

impl Frame {
    /// That of this process.
    pub(super) fn new(config: &Otlp) -> Self {
        let text = |(key, value): &(String, String)| KeyValue::text(key, value);
        let mut attributes: Vec<_> = config.resource.iter().map(text).collect();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if !host.is_empty() && !config.resource.iter().any(|(key, _)| key == "host.name") {
            attributes.push(KeyValue::text("host.name", host.trim_end()));
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            resource: Resource { attributes },
            scope: Scope { name: "flupd".to_owned(), version },
        }
    }

    /// The message with these spans.
    pub(super) fn request(&self, spans: Vec<Made>) -> ExportRequest {
        let scope_spans = ScopeSpans {
            scope: Some(self.scope.clone()),
            spans: spans.into_iter().map(Span::from).collect(),
            schema_url: SCHEMA.to_owned(),
        };
        let resource = Some(self.resource.clone());
        let resource_spans = ResourceSpans { resource, scope_spans: vec![scope_spans] };
        ExportRequest { resource_spans: vec![resource_spans] }
    }
}

impl From<Made> for Span {
    fn from(made: Made) -> Self {
        let TraceParent { trace, span, flags } = made.place.own;
        let parent = made.place.parent;
        let event = |(at, name): (u64, &str)| Event { time_unix_nano: at, name: name.to_owned() };
        let failed = |message| Status { message, code: StatusCode::Error.into() };
        Self {
            trace_id: trace.0.to_vec(),
            span_id: span.0.to_vec(),
            trace_state: made.state,
            parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            name: made.name.to_owned(),
            kind: Kind::Server.into(),
            start_time_unix_nano: made.begun,
            end_time_unix_nano: made.ended,
            attributes: made.attributes.into_iter().map(KeyValue::from).collect(),
            events: made.events.into_iter().map(event).collect(),
            status: made.failure.map(failed),
            flags: u32::from(flags) | if parent.is_some() { REMOTE_PARENT } else { 0 },
        }
    }
}

impl KeyValue {
    fn text(key: &str, value: &str) -> Self {
        let value = Some(AnyValue { value: Some(Value::String(value.to_owned())) });
        Self { key: key.to_owned(), value }
    }
}

impl From<(&'static str, Told)> for KeyValue {
    fn from((key, value): (&'static str, Told)) -> Self {
        let value = match value {
            Told::Text(text) => Value::String(text),
            Told::Number(number) => Value::Int(number),
            Told::Decimal(number) => Value::Double(number),
        };
        Self { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
    }
}
