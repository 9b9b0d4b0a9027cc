//! The spans of requests: flupd's part of each trace.
//!
//! A request that comes with a `traceparent` belongs to that trace; another one begins
//! a trace. The app sees flupd's span as its parent. At the request's end its span goes
//! to the exporter, which never holds up anybody.

#[cfg(not(feature = "opentelemetry"))]
mod absent;
mod attributes;
#[cfg(feature = "opentelemetry")]
mod exporter;
mod span;

use std::sync::Arc;

use cgi::Params;
use tracing::{error, info};

#[cfg(not(feature = "opentelemetry"))]
use self::absent::Exporter;
#[cfg(feature = "opentelemetry")]
use self::exporter::Exporter;
use self::span::Span;
use super::ended::Known;
use crate::config::otlp::{Otlp, Sampler};
use crate::observe::ids::Ids;
use crate::observe::metrics::Metrics;
use crate::observe::trace_context::{SpanId, TRACEPARENT, TRACESTATE, TraceId, TraceParent};

/// Makes spans.
#[derive(Debug)]
pub(super) struct Spans {
    ids: Ids,
    sampler: Sampler,
    exporter: Exporter,
}

/// Where a span belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanPlace {
    /// Its trace and itself.
    own: TraceParent,
    /// The span of who has sent the request; none if the trace begins here.
    parent: Option<SpanId>,
}

impl Spans {
    /// Begins to export. `None` if that can't be; the log says why.
    pub(super) fn start(otlp: &Otlp, metrics: &Arc<Metrics>) -> Option<Self> {
        match Exporter::start(otlp, Arc::clone(metrics)) {
            Ok(exporter) => {
                let Otlp { host, port, path, .. } = otlp;
                info!(host, port, path, "spans are exported");
                Some(Self { ids: Ids::default(), sampler: otlp.sampler, exporter })
            }
            Err(error) => {
                error!(%error, "spans can't be exported");
                None
            }
        }
    }

    /// A request has arrived, and its params will tell the app where it belongs. `None`
    /// if it shall have no span.
    pub(super) fn begin(&self, params: &mut Params) -> Option<SpanPlace> {
        let place = SpanPlace::of(Some(params), &self.ids, self.sampler);
        if place.parent.is_none() {
            // It belongs to what can't be used (section 4.3).
            params.remove(TRACESTATE);
        }
        params.set(TRACEPARENT, place.own.to_string().as_bytes());
        place.own.is_sampled().then_some(place)
    }

    /// A request is over.
    pub(super) fn end(&self, known: &Known<'_>) {
        let new = || SpanPlace::of(known.entry.params, &self.ids, self.sampler);
        let place = match known.exchange {
            // No app has seen it.
            None => Some(new()),
            Some(exchange) => match exchange.tally() {
                Some(tally) => tally.place,
                None => exchange.pool().is_none().then(new),
            },
        };
        if let Some(place) = place.filter(|place| place.own.is_sampled()) {
            self.exporter.offer(Span::of(place, known));
        }
    }

    /// Sends the last ones, for a short time.
    pub(super) async fn finish(&self) {
        self.exporter.finish().await;
    }
}

impl SpanPlace {
    /// A new span's, for a request with these params.
    fn of(params: Option<&Params>, ids: &Ids, sampler: Sampler) -> Self {
        let span = SpanId(ids.short().to_be_bytes());
        match params.and_then(TraceParent::of) {
            Some(parent) => {
                let told = sampler.heeds_parent.then(|| parent.is_sampled());
                let sampled = told.unwrap_or_else(|| sampler.share.holds(parent.trace.0));
                Self { own: parent.child(span, sampled), parent: Some(parent.span) }
            }
            None => {
                let trace = TraceId(ids.long().to_be_bytes());
                let sampled = sampler.share.holds(trace.0);
                Self { own: TraceParent::root(trace, span, sampled), parent: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::otlp::Sample;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn place(header: Option<&str>, heeds_parent: bool, share: u32) -> SpanPlace {
        let mut params = Params::new();
        header.into_iter().for_each(|header| params.push(TRACEPARENT, header.as_bytes()));
        let sampler = Sampler { heeds_parent, share: Sample(share) };
        SpanPlace::of(Some(&params), &Ids::default(), sampler)
    }

    #[test]
    fn a_request_belongs_to_the_trace_of_who_sent_it() {
        let header = format!("00-{TRACE}-b7ad6b7169203331-01");
        let place = place(Some(&header), true, 0);
        assert_eq!(place.own.trace.to_string(), TRACE);
        assert_eq!(place.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_ne!(Some(place.own.span), place.parent);
        assert!(place.own.is_sampled());
    }

    #[test]
    fn without_a_usable_one_a_trace_begins() {
        for header in [None, Some(""), Some("00-0-0-01")] {
            let (one, other) = (place(header, true, 1_000_000), place(header, true, 1_000_000));
            assert!(one.parent.is_none() && one.own.is_sampled(), "{header:?}");
            assert_ne!(one.own.trace, other.own.trace);
        }
    }

    #[test]
    fn samplers_decide() {
        let header = |flags: &str| format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        let sampled = |header: Option<&str>, heeds_parent, share| {
            place(header, heeds_parent, share).own.is_sampled()
        };
        let all = 1_000_000;
        assert!(!sampled(Some(&header("00")), true, all) && sampled(Some(&header("01")), true, 0));
        assert!(
            sampled(Some(&header("00")), false, all) && !sampled(Some(&header("01")), false, 0)
        );
        assert!(sampled(None, true, all) && !sampled(None, true, 0));
        // The same share of traces for all who ask: 84… is more than a half.
        assert!(!sampled(Some(&header("01")), false, all / 2));
        assert!(sampled(Some(&header("01")), false, all / 10 * 6));
        let of_many = (0..1000).filter(|_| sampled(None, true, all / 2)).count();
        assert!((400..600).contains(&of_many), "{of_many}");
    }
}
