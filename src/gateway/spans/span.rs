//! One span: what is told of a request that is over.

use std::time::{Duration, UNIX_EPOCH};

use super::SpanPlace;
use super::attributes::{Attributes, Value};
use crate::gateway::ended::Known;
use crate::observe::access::{LogEntry, Outcome, Times};
use crate::observe::trace_context::TRACESTATE;

/// The longest `tracestate` that is told, in bytes: so much everybody has to pass on
/// (W3C Trace Context, section 3.3.1.5).
const MAX_STATE: usize = 512;

/// A request that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) place: SpanPlace,
    /// The `tracestate` that came with it.
    pub(super) state: String,
    /// The method: what stands behind it are too many names.
    pub(super) name: &'static str,
    /// Its first byte and its last, in nanoseconds since 1970.
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// What was when.
    pub(super) events: Vec<(u64, &'static str)>,
    /// Why it has failed, if it has; not all is known in words.
    pub(super) failure: Option<String>,
}

impl Span {
    /// The span in this place of a request of which this is known.
    pub(super) fn of(place: SpanPlace, known: &Known<'_>) -> Self {
        let entry = &known.entry;
        let ended = nanos(entry.end.duration_since(UNIX_EPOCH).unwrap_or_default());
        let begun = ended.saturating_sub(nanos(entry.times.whole));
        let mut attributes = Attributes::of_request(entry.params);
        attributes.answer(entry);
        attributes.flupd(known);
        let failure = failure(known, &mut attributes);
        let state = entry.params.filter(|_| place.parent.is_some());
        let state = state.and_then(|params| params.get(TRACESTATE));
        let state = state.filter(|state| state.len() <= MAX_STATE).unwrap_or_default();
        Self {
            place,
            state: String::from_utf8_lossy(state).into_owned(),
            name: attributes.name,
            begun,
            ended,
            attributes: attributes.all,
            events: events(begun, &entry.times),
            failure,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The moments between the parts of its time.
fn events(begun: u64, times: &Times) -> Vec<(u64, &'static str)> {
    let parts = [
        (times.receive, "flupd.received"),
        (times.queue, "flupd.taken"),
        (times.gil, "flupd.app_begun"),
        (times.app, "flupd.app_ended"),
    ];
    let mut at = begun;
    let mut events: Vec<_> = parts
        .into_iter()
        .map_while(|(lasted, name)| {
            at = at.saturating_add(nanos(lasted?));
            Some((at, name))
        })
        .collect();
    if let Some(first) = times.first_byte {
        events.push((begun.saturating_add(nanos(first)), "flupd.answer_begun"));
        events.sort_by_key(|(at, _)| *at);
    }
    events
}

/// Why it has failed, by the conventions for HTTP servers: what the client has done
/// wrong is no failure. Says as well of which kind.
fn failure(known: &Known<'_>, attributes: &mut Attributes) -> Option<String> {
    let LogEntry { outcome, status, .. } = known.entry;
    if let Some(refusal) = known.refusal {
        let is_ours = refusal.status >= 500;
        return is_ours.then(|| {
            attributes.add("error.type", refusal.reason.label());
            refusal.why.clone()
        });
    }
    if outcome == Outcome::Cut {
        attributes.add("error.type", "cut");
        return Some("the answer ended before it was whole".to_owned());
    }
    let status = status.filter(|status| *status >= 500)?;
    attributes.add("error.type", status.to_string());
    Some(String::new())
}

#[cfg(test)]
mod tests;
