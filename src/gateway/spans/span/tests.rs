use cgi::{Params, ResponseHead};

use super::*;
use crate::gateway::refusal::Refusal;
use crate::gateway::spans::SpanPlace;
use crate::observe::access::Seated;
use crate::observe::trace_context::TraceParent;

const HEADER: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The span of an ordinary request, changed by `change`.
fn span(refusal: Option<&Refusal>, change: impl FnOnce(&mut LogEntry<'_>)) -> Span {
    let params: Params =
        [(&b"REQUEST_METHOD"[..], &b"GET"[..]), (TRACESTATE, b"a=1")].into_iter().collect();
    let head = ResponseHead::parse(b"Status: 200 OK\r\n\r\n").unwrap().unwrap().0;
    let mut entry = LogEntry {
        params: Some(&params),
        head: Some(&head),
        status: Some(200),
        end: UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        times: Times {
            whole: millis(100),
            first_byte: Some(millis(65)),
            receive: Some(millis(10)),
            queue: Some(millis(20)),
            gil: Some(millis(30)),
            app: Some(millis(30)),
        },
        cost: None,
        bytes_in: 300,
        head_bytes: 50,
        body_bytes: 1000,
        app: Some("shop"),
        seat: Some(Seated { worker: 3, pid: 1234, thread: 2 }),
        outcome: Outcome::Complete,
        why: None,
        attempts: 2,
        peer: "",
        kept: true,
    };
    change(&mut entry);
    if let Some(refusal) = refusal {
        (entry.head, entry.outcome) = (None, Outcome::Refused);
        (entry.status, entry.why) = (Some(refusal.status), Some(refusal.why.as_str()));
    }
    let parent = TraceParent::parse(HEADER).unwrap();
    let place = SpanPlace { own: parent, parent: Some(parent.span) };
    Span::of(place, &Known { entry, refusal, exchange: None })
}

fn value(span: &Span, name: &str) -> Option<Value> {
    span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn word(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

#[test]
fn its_time_is_told_in_parts() {
    let span = span(None, |_| {});
    let (begun, milli) = (999_999_999_900_000_000, 1_000_000);
    assert_eq!((span.begun, span.ended - span.begun), (begun, 100 * milli));
    let after: Vec<_> =
        span.events.iter().map(|(at, name)| ((at - begun) / milli, *name)).collect();
    let expected = [
        (10, "flupd.received"),
        (30, "flupd.taken"),
        (60, "flupd.app_begun"),
        (65, "flupd.answer_begun"),
        (90, "flupd.app_ended"),
    ];
    assert_eq!(after, expected);
    for (part, seconds) in
        [("receive", 0.01), ("queue", 0.02), ("gil", 0.03), ("app", 0.03), ("write", 0.01)]
    {
        let name = format!("flupd.{part}.duration");
        assert_eq!(value(&span, &name), Some(Value::Decimal(seconds)), "{part}");
    }
    assert_eq!((span.name, &*span.state, span.failure.as_deref()), ("GET", "a=1", None));
    assert_eq!(value(&span, "http.response.status_code"), Some(Value::Number(200)));
    assert_eq!(value(&span, "flupd.attempts"), Some(Value::Number(2)));
    assert_eq!(value(&span, "flupd.worker"), Some(Value::Number(3)));
    assert_eq!(value(&span, "flupd.app"), word("shop"));
}

#[test]
fn what_never_came_to_an_app_has_no_such_parts() {
    let span = span(None, |entry| {
        entry.times = Times { whole: millis(5), ..Times::default() };
        (entry.head, entry.status, entry.seat) = (None, Some(499), None);
        entry.outcome = Outcome::Aborted;
    });
    assert!(span.events.is_empty() && value(&span, "flupd.write.duration").is_none());
    // No status was sent, and it is not flupd's failure.
    assert_eq!(value(&span, "http.response.status_code"), None);
    assert_eq!((value(&span, "flupd.outcome"), span.failure.as_deref()), (word("aborted"), None));
}

#[test]
fn a_failure_says_of_which_kind() {
    let failed = |status| {
        let span = span(None, |entry| entry.status = Some(status));
        (value(&span, "error.type"), span.failure)
    };
    assert_eq!(failed(404), (None, None));
    assert_eq!(failed(500), (word("500"), Some(String::new())));
    assert_eq!(failed(503), (word("503"), Some(String::new())));

    let refused = |refusal: &Refusal| {
        let span = span(Some(refusal), |_| {});
        (value(&span, "error.type"), span.failure.clone(), value(&span, "flupd.refused"))
    };
    let full = Refusal::queue_full(8);
    assert_eq!(refused(&full), (word("queue_full"), Some(full.why.clone()), word("queue_full")));
    let large = Refusal::body_too_large(1);
    assert_eq!(refused(&large), (None, None, word("body_too_large")));

    let cut = span(None, |entry| entry.outcome = Outcome::Cut);
    assert_eq!(value(&cut, "error.type"), word("cut"));
    assert!(cut.failure.is_some());
}
