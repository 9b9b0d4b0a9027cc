//! Where spans go, and of which requests there are some: what `otlp` and the variables
//! of OpenTelemetry say.

use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long the collector may take for an answer, if nobody says.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What stands behind the address of a collector that is given without a path.
const TRACES: &str = "/v1/traces";

/// Who flupd is to those who look at spans, if nobody says.
const SERVICE: &str = "flupd";

/// An export of spans over OTLP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otlp {
    /// As the administrator has written it: a URL, or `env`.
    pub written: String,
    /// The collector's host: a name or an address, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path of its traces, with a query if there is one.
    pub path: String,
    /// Headers that it wants. Their names and values are valid.
    pub headers: Vec<(String, String)>,
    /// How long it may take for an answer.
    pub timeout: Duration,
    /// The resource's attributes: `service.name` and others.
    pub resource: Vec<(String, String)>,
    /// Of which requests there are spans.
    pub sampler: Sampler,
    /// The share of new traces, if it was given.
    pub share: Option<Sample>,
}

/// Of which requests there are spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampler {
    /// Whether it counts what a caller says that records its trace, or does not.
    pub heeds_parent: bool,
    /// The share of the others.
    pub share: Sample,
}

/// A share of all traces, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample(pub u32);

/// What is wrong with an address of a collector, or with a variable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OtlpError {
    /// This program can't.
    #[error(
        "can't be used: this flupd was built without OpenTelemetry; build it with \
         `make install FEATURES=opentelemetry`, or remove this"
    )]
    NotBuilt,
    /// No URL, or one that says more than an address.
    #[error("{0:?}: write the address of a collector, such as http://127.0.0.1:4318, or env")]
    Url(String),
    /// TLS.
    #[error(
        "{0:?}: flupd speaks no TLS to collectors; run one on this machine that passes spans on, \
         and name it: http://127.0.0.1:4318"
    )]
    Tls(String),
    /// A variable of the environment.
    #[error("can't be used with {name}={value:?} in the environment: {what}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to write instead.
        what: &'static str,
    },
}

/// The environment: what a variable says.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

impl Otlp {
    /// What `written` means, which is the address of a collector, or `env`; `share` is
    /// what was said of new traces. `None` if the environment switches it off.
    ///
    /// # Errors
    /// The first of them that can't be used.
    pub fn read(
        written: &str,
        share: Option<Sample>,
        variables: Variables<'_>,
    ) -> Result<Option<Self>, OtlpError> {
        let variable = |name| variables(name).filter(|value| !value.is_empty());
        let is_true = |value: String| value.eq_ignore_ascii_case("true");
        let nowhere = |value: String| value.eq_ignore_ascii_case("none");
        if variable("OTEL_SDK_DISABLED").is_some_and(is_true)
            || variable("OTEL_TRACES_EXPORTER").is_some_and(nowhere)
        {
            return Ok(None);
        }
        let (host, port, path) =
            if written == "env" { from_environment(&variable)? } else { base(written)? };
        let sampler = match share {
            Some(share) => Sampler { heeds_parent: true, share },
            None => sampler(&variable)?,
        };
        Ok(Some(Self {
            written: written.to_owned(),
            host,
            port,
            path,
            headers: headers(&variable)?,
            timeout: time_limit(&variable)?,
            resource: resource(&variable)?,
            sampler,
            share,
        }))
    }
}

/// Reads one variable; an empty one is none.
type Variable<'v> = dyn Fn(&'static str) -> Option<String> + 'v;

fn wrong(name: &'static str, value: &str, what: &'static str) -> OtlpError {
    OtlpError::Variable { name, value: value.to_owned(), what }
}

/// A URL with the path of traces behind its own.
fn base(url: &str) -> Result<(String, u16, String), OtlpError> {
    let (host, port, path) = parse(url)?;
    let base = path.trim_end_matches('/');
    let path = if base.ends_with(TRACES) { base.to_owned() } else { format!("{base}{TRACES}") };
    Ok((host, port, path))
}

fn parse(url: &str) -> Result<(String, u16, String), OtlpError> {
    let wrong = || OtlpError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.ok_or_else(wrong)?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(OtlpError::Tls(url.to_owned())),
        _ => return Err(wrong()),
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let has_port = authority.as_str().len() > authority.host().len();
    let port = match authority.port_u16() {
        Some(port @ 1..) => port,
        None if !has_port => 80,
        _ => return Err(wrong()),
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((host.to_owned(), port, path.to_owned()))
}

/// The collector that the environment names, or the one that is there by custom.
fn from_environment(variable: &Variable<'_>) -> Result<(String, u16, String), OtlpError> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match variable(name) {
            None => {}
            Some(protocol) if protocol == "http/protobuf" => break,
            Some(other) => return Err(wrong(name, &other, "flupd speaks http/protobuf")),
        }
    }
    if let Some(url) = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return parse(&url);
    }
    let url = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    base(url.as_deref().unwrap_or("http://localhost:4318"))
}

fn sampler(variable: &Variable<'_>) -> Result<Sampler, OtlpError> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    let name = variable(NAME);
    let kind = name.as_deref().unwrap_or("parentbased_always_on");
    let (heeds_parent, root) =
        kind.strip_prefix("parentbased_").map_or((false, kind), |root| (true, root));
    let share = match root {
        "always_on" => Sample::ALL,
        "always_off" => Sample(0),
        "traceidratio" => ratio(variable)?,
        _ => {
            let known = "flupd knows always_on, always_off and traceidratio, with parentbased_ in \
                         front or without";
            return Err(wrong(NAME, kind, known));
        }
    };
    Ok(Sampler { heeds_parent, share })
}

fn ratio(variable: &Variable<'_>) -> Result<Sample, OtlpError> {
    const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(text) = variable(NAME) else { return Ok(Sample::ALL) };
    let ratio = text.parse::<f64>().ok().and_then(Sample::of);
    ratio.ok_or_else(|| wrong(NAME, &text, "write a number from 0 to 1"))
}

fn headers(variable: &Variable<'_>) -> Result<Vec<(String, String)>, OtlpError> {
    let (of_all, of_traces) = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    let name = if variable(of_traces).is_some() { of_traces } else { of_all };
    let headers = pairs(name, variable)?;
    let is_valid = |(name, value): &(String, String)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
    };
    // The value may be a secret: it is not repeated.
    let what = "write headers as name=value,name=value";
    headers.iter().all(is_valid).then_some(headers).ok_or_else(|| wrong(name, "…", what))
}

fn time_limit(variable: &Variable<'_>) -> Result<Duration, OtlpError> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"] {
        if let Some(text) = variable(name) {
            let millis = text.parse().ok().filter(|millis| *millis > 0);
            let time = millis.map(Duration::from_millis);
            return time.ok_or_else(|| wrong(name, &text, "write a number of milliseconds"));
        }
    }
    Ok(TIMEOUT)
}

fn resource(variable: &Variable<'_>) -> Result<Vec<(String, String)>, OtlpError> {
    const KEY: &str = "service.name";
    let mut attributes = pairs("OTEL_RESOURCE_ATTRIBUTES", variable)?;
    let named = variable("OTEL_SERVICE_NAME");
    if named.is_some() {
        attributes.retain(|(key, _)| key != KEY);
    }
    if !attributes.iter().any(|(key, _)| key == KEY) {
        let name = named.unwrap_or_else(|| SERVICE.to_owned());
        attributes.insert(0, (KEY.to_owned(), name));
    }
    Ok(attributes)
}

/// `key=value,key=value`, percent-encoded.
fn pairs(name: &'static str, variable: &Variable<'_>) -> Result<Vec<(String, String)>, OtlpError> {
    let Some(text) = variable(name) else { return Ok(Vec::new()) };
    let decoded = |text: &str| {
        String::from_utf8_lossy(&cgi::percent_decode(text.trim().as_bytes())).into_owned()
    };
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((decoded(key), decoded(value))).filter(|(key, _)| !key.is_empty())
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let pairs: Option<_> = parts.map(pair).collect();
    // It may hold a secret.
    pairs.ok_or_else(|| wrong(name, "…", "write pairs as key=value,key=value"))
}

impl Sample {
    /// Every trace.
    pub const ALL: Self = Self(1_000_000);

    /// This ratio, from 0 to 1.
    fn of(ratio: f64) -> Option<Self> {
        let all = f64::from(Self::ALL.0);
        (0.0..=1.0).contains(&ratio).then(|| Self((ratio * all).round() as u32))
    }

    /// As it is written: `10%`, `0.01%`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let share = percent.and_then(|percent| Self::of(percent / 100.0));
        share.ok_or_else(|| "write a share of new traces from 0% to 100%: 10%".to_owned())
    }

    /// Whether a trace is a part of it: all who ask about a trace agree, as its random
    /// bits decide.
    #[must_use]
    pub fn holds(self, trace: [u8; 16]) -> bool {
        let random = u128::from_be_bytes(trace) & u128::from(u64::MAX);
        random < (u128::from(self.0) << 64) / u128::from(Self::ALL.0)
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

#[cfg(test)]
mod tests;
