//! Whole lines from whole entries.

use std::time::{Duration, SystemTime};

use cgi::{Params, ResponseHead};
use flupd_channel::cost::Cost;

use super::*;

fn params() -> Params {
    [
        (&b"REMOTE_ADDR"[..], &b"192.0.2.7"[..]),
        (b"REMOTE_PORT", b"4711"),
        (b"REMOTE_USER", b"ann e"),
        (b"SERVER_NAME", b"shop.example"),
        (b"SERVER_PORT", b"443"),
        (b"SERVER_PROTOCOL", b"HTTP/1.1"),
        (b"REQUEST_METHOD", b"POST"),
        (b"REQUEST_URI", b"/a%20b?x=1&y=2"),
        (b"QUERY_STRING", b"x=1&y=2"),
        (b"HTTP_REFERER", b"http://ref/\"quoted\""),
        (b"HTTP_USER_AGENT", b"curl\n\x1b[0m"),
        (b"HTTP_X_REQUEST_ID", b"r-1"),
        (b"HTTP_TRACEPARENT", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"HTTP_COOKIE", b"a=1; session=s-2 ; b=3"),
        (b"CONTENT_TYPE", b"text/plain"),
    ]
    .into_iter()
    .collect()
}

fn head() -> ResponseHead {
    let text = b"Status: 201 Created\r\nX-Cache: miss\r\n\r\n";
    ResponseHead::parse(text).unwrap().unwrap().0
}

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// The line of an ordinary request, changed by `change`.
fn line(format: &str, change: impl FnOnce(&mut LogEntry<'_>)) -> String {
    let (params, head) = (params(), head());
    let mut entry = LogEntry {
        params: Some(&params),
        head: Some(&head),
        status: Some(201),
        end: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_003),
        times: Times {
            whole: micros(3_004_005),
            first_byte: Some(micros(900)),
            receive: Some(micros(10)),
            queue: Some(micros(20)),
            gil: Some(micros(30)),
            app: Some(micros(40)),
        },
        cost: Some(Cost { user: 14, system: 7, peak: 3 << 20 }),
        bytes_in: 300,
        head_bytes: 50,
        body_bytes: 1000,
        app: Some("shop"),
        seat: Some(Seated { worker: 3, pid: 1234, thread: 2 }),
        outcome: Outcome::Complete,
        why: None,
        attempts: 1,
        peer: "unix on unix:/run/app.sock",
        kept: true,
    };
    change(&mut entry);
    let mut out = Vec::new();
    Format::parse(format).unwrap().write(&entry, &mut Clock::default(), &mut out);
    let line = String::from_utf8(out).unwrap();
    line.strip_suffix('\n').unwrap().to_owned()
}

fn value(format: &str) -> String {
    line(format, |_| {})
}

#[test]
fn every_field_has_its_value() {
    for (format, expected) in [
        ("%%|%h|%a|%R", "%|192.0.2.7|192.0.2.7|192.0.2.7"),
        ("%l %f %A", "- - -"),
        ("%u", r"ann\x20e"),
        ("\"%u\"", "\"ann e\""),
        ("\"%r\"", "\"POST /a%20b?x=1&y=2 HTTP/1.1\""),
        ("%m %U%q %H", "POST /a%20b?x=1&y=2 HTTP/1.1"),
        ("%{uri}x", "/a%20b?x=1&y=2"),
        ("%s %>s %<s", "201 201 201"),
        ("%b %B %I %O %S", "1000 1000 300 1050 1350"),
        ("%D %T %{s}T %{ms}T %{us}T", "3004005 3 3 3004 3004005"),
        ("%d %{milliseconds}d %{micro}d", "3.004 3004.005 3004005"),
        ("%^FB", "900"),
        ("%{sec}t %{end:sec}t", "999999999 1000000003"),
        ("\"%{Referer}i\"", r#""http://ref/\"quoted\"""#),
        ("%{user-agent}i", r"curl\n\x1b[0m"),
        ("%{Content-Type}i %{HTTP_REFERER}e", r#"text/plain http://ref/\"quoted\""#),
        ("%{x-cache}o %{Nothing}o", "miss -"),
        ("%{session}C %{b}C %{c}C", "s-2 3 -"),
        ("%v %V %p %{remote}p", "shop.example shop.example 443 4711"),
        ("%P %{pid}P %{tid}P", "1234 1234 2"),
        ("%n %{worker}x %{attempts}x", "shop 3 1"),
        ("%{trace_id}x", "0af7651916cd43dd8448eb211c80319c"),
        ("%L %X %{outcome}x %{why}x", "r-1 + complete -"),
        ("%{receive_us}x %{queue_us}x %{gil_us}x %{app_us}x", "10 20 30 40"),
        ("\"%{peer}x\"", "\"unix on unix:/run/app.sock\""),
        ("%201,202s %!201{Referer}i", "201 -"),
        ("%404{Referer}i", "-"),
    ] {
        assert_eq!(value(format), expected, "{format}");
    }
}

#[test]
fn what_is_not_known_is_a_dash_or_null() {
    let nothing = |entry: &mut LogEntry<'_>| {
        (entry.params, entry.head, entry.status, entry.seat) = (None, None, None, None);
        entry.times = Times { whole: micros(7), ..Times::default() };
        (entry.body_bytes, entry.outcome, entry.app) = (0, Outcome::Aborted, None);
    };
    assert_eq!(line(r#"%h "%r" %s %b %B %P %U%q %{x}o"#, nothing), r#"- "-" - - 0 - - -"#);
    assert_eq!(line("%D %^FB %{gil_us}x %X", nothing), "7 - - X");
    let parsed: serde_json::Value = serde_json::from_str(&line("json", nothing)).unwrap();
    assert_eq!(parsed["status"], serde_json::Value::Null);
    assert_eq!(parsed["uri"], serde_json::Value::Null);
    assert_eq!(parsed["outcome"], "aborted");
    assert_eq!(parsed["duration_us"], 7);
}

#[test]
fn a_uri_that_the_web_server_does_not_tell_is_put_together() {
    let params: Params =
        [(&b"SCRIPT_NAME"[..], &b"/s"[..]), (b"PATH_INFO", b"/p"), (b"QUERY_STRING", b"q=1")]
            .into_iter()
            .collect();
    assert_eq!(line("%U %q %r", |entry| entry.params = None), "-  -");
    // `params` lives longer than the entry that `line` makes.
    let format = Format::parse("%{uri}x %U%q").unwrap();
    let mut out = Vec::new();
    let entry = LogEntry {
        params: Some(&params),
        head: None,
        status: None,
        end: SystemTime::UNIX_EPOCH,
        times: Times::default(),
        cost: None,
        bytes_in: 0,
        head_bytes: 0,
        body_bytes: 0,
        app: None,
        seat: None,
        outcome: Outcome::Refused,
        why: Some("x"),
        attempts: 0,
        peer: "",
        kept: false,
    };
    format.write(&entry, &mut Clock::default(), &mut out);
    assert_eq!(out, b"/s/p?q=1 /s/p?q=1\n");
}

#[test]
fn json_lines_are_objects_whatever_was_sent() {
    let parsed: serde_json::Value = serde_json::from_str(&value("json")).unwrap();
    assert_eq!(parsed["user_agent"], "curl\n\u{1b}[0m");
    assert_eq!(parsed["referer"], "http://ref/\"quoted\"");
    assert_eq!(parsed["status"], 201);
    assert_eq!(parsed["user"], "ann e");
    assert_eq!(parsed["worker"], 3);
    assert_eq!(parsed["why"], serde_json::Value::Null);
    let own = value(r#"{"line":"%m %U","agent":"%{User-Agent}i","t":%{ms}T}"#);
    let parsed: serde_json::Value = serde_json::from_str(&own).unwrap();
    assert_eq!(parsed["line"], "POST /a%20b");
    assert_eq!(parsed["t"], 3004);
}

#[test]
fn a_line_is_never_longer_than_its_bound() {
    let format = "%{User-Agent}i ".repeat(20);
    let long = vec![b'\n'; 8000];
    let params: Params = [(&b"HTTP_USER_AGENT"[..], &long[..])].into_iter().collect();
    let mut out = Vec::new();
    let (base, head) = (self::params(), head());
    let _ = base;
    let entry = LogEntry {
        params: Some(&params),
        head: Some(&head),
        status: Some(200),
        end: SystemTime::UNIX_EPOCH,
        times: Times::default(),
        cost: None,
        bytes_in: 0,
        head_bytes: 0,
        body_bytes: 0,
        app: None,
        seat: None,
        outcome: Outcome::Complete,
        why: None,
        attempts: 1,
        peer: "",
        kept: false,
    };
    Format::parse(&format).unwrap().write(&entry, &mut Clock::default(), &mut out);
    assert_eq!(out.len(), 32 * 1024 + 1);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
}

/// As php-fpm has them; the times are of the 70 µs for which a thread had it.
#[test]
fn a_request_has_its_cost() {
    assert_eq!(line("%C %{user}C %{system}C %{total}C", |_| {}), "30.00 20.00 10.00 30.00");
    assert_eq!(line("%M %{kilo}M %{megabytes}M %{cpu_us}x", |_| {}), "3145728 3072 3 21");
    assert_eq!(line("%C %M %{cpu_us}x", |entry| entry.cost = None), "- - -");
    let json = r#"{"cpu":%C,"peak":%{mega}M,"us":%{cpu_us}x}"#;
    assert_eq!(line(json, |_| {}), r#"{"cpu":30.00,"peak":3,"us":21}"#);
    for (format, wanted) in [("%M", true), ("%{user}C", true), ("%{session}C %s", false)] {
        assert_eq!(Format::parse(format).unwrap().wants_cost(), wanted);
    }
    assert!(Format::parse("%{tera}M").unwrap_err().to_string().contains("megabytes"));
}
