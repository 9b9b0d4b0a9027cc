//! The traces of W3C Trace Context and OpenTelemetry, through real web servers.

mod passed_on;
