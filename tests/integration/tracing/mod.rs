//! The traces of W3C Trace Context and OpenTelemetry, through real web servers.

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(feature = "opentelemetry")]
mod exported;
mod passed_on;
#[cfg(feature = "opentelemetry")]
mod trouble;
#[cfg(not(feature = "opentelemetry"))]
mod without;
