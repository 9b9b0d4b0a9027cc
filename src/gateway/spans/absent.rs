//! A program that was built without OpenTelemetry has nobody who exports spans: the
//! configuration refuses `otlp`.

use std::io;
use std::sync::Arc;

use super::span::Span;
use crate::config::otlp::Otlp;
use crate::observe::metrics::Metrics;

/// There is none.
#[derive(Debug)]
pub(super) enum Exporter {}

impl Exporter {
    pub(super) fn start(_: &Otlp, _: Arc<Metrics>) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "flupd was built without OpenTelemetry"))
    }

    pub(super) fn offer(&self, _: Span) {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as the one that is there")]
    pub(super) async fn finish(&self) {
        match *self {}
    }
}
