//! A new worker proves that it can answer, before it gets the requests of clients.
//!
//! The request is made here and staged at that very worker: no web server, no
//! connection, no queue. It is in no log of requests and in no metric.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use cgi::{Params, environ};
use flupd_channel::gateway::{Body, Payload, Reply};
use flupd_channel::{Outcome, Role};
use tokio::time::{Instant, timeout_at};

use super::Pool;
use crate::config::ProbeRequest;
use crate::gateway::exchange::{Exchange, Place};
use crate::gateway::request::Request;
use crate::gateway::seat::Seat;
use crate::gateway::wake::Wake;

/// How often it is looked whether the worker is still there.
const TICK: Duration = Duration::from_millis(100);

/// How long the supervisor may take to say that a worker has ended.
const BURIAL: Duration = Duration::from_secs(5);

/// How long its thread may take to say where it is.
const FRAMES: Duration = Duration::from_secs(1);

/// How much is told of what the app said meanwhile, in bytes: the last of it.
const MAX_SAID: usize = 8 * 1024;

/// The longest status line that is told, in bytes.
const MAX_STATUS: usize = 128;

/// What has arrived of the answer.
#[derive(Debug, Default)]
struct Answer {
    /// `500 Internal Server Error`.
    status: Option<String>,
    /// Tracebacks, and what was written to `wsgi.errors`.
    said: String,
    end: Option<Outcome>,
}

impl Pool {
    /// Asks a worker that takes no requests yet. `None` if it answers well, else
    /// why not, for the administrator.
    pub(in crate::gateway) async fn prove(
        self: Rc<Self>,
        worker: u64,
        probe: ProbeRequest,
    ) -> Option<String> {
        let what = format!("the probe GET {}{}", probe.script_name, probe.target);
        let told = |why: String| format!("{what} {why}");
        let request = match request(&probe) {
            Ok(request) => request,
            Err(error) => return Some(told(format!("can't be made: {error}"))),
        };
        let seat = self.workers.borrow().get(&worker).and_then(|w| w.seats.first().cloned());
        let Some(seat) = seat else { return Some(told("found no worker".to_owned())) };
        let wake = Rc::new(Wake::default());
        let exchange = Exchange::internal(request, Rc::clone(&wake));
        self.stage(&seat, Rc::clone(&exchange));
        let deadline = Instant::now() + probe.timeout;
        let mut answer = Answer::default();
        loop {
            let place = exchange.place();
            if let Place::Seated(_) = place
                && let Err(why) = answer.take(&seat, &exchange)
            {
                self.worker_broken(worker, &why);
                return Some(told(format!("was not answered: {why}")));
            }
            if answer.end.is_some() {
                return answer.verdict().map(told);
            }
            if seat.dead.get() {
                self.see_off(worker).await;
                return Some(told("was not answered: the worker has gone".to_owned()));
            }
            if let Place::Refused(refusal) = place {
                return Some(told(format!("was not answered: {}", refusal.why) + &answer.said()));
            }
            if Instant::now() >= deadline {
                let seconds = probe.timeout.as_secs_f64();
                let place = frames(&seat).await;
                // What it says later reaches nobody.
                exchange.cancel();
                seat.cancel(&exchange);
                let why = format!("was not answered within {seconds} s{place}");
                return Some(told(why + &answer.said()));
            }
            let news = poll_fn(|context| match wake.poll(context) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            let _ = timeout_at(deadline.min(Instant::now() + TICK), news).await;
        }
    }

    /// Waits a little until the supervisor has buried a worker: it knows how it died.
    async fn see_off(&self, worker: u64) {
        let deadline = Instant::now() + BURIAL;
        while self.workers.borrow().contains_key(&worker) && Instant::now() < deadline {
            tokio::time::sleep(TICK).await;
        }
    }
}

impl Answer {
    /// Takes what has arrived.
    fn take(
        &mut self,
        seat: &Rc<Seat>,
        exchange: &Rc<Exchange>,
    ) -> Result<(), flupd_channel::ChannelError> {
        let port = seat.port();
        let mut replies = port.replies();
        while let Some(reply) = replies.look()? {
            match reply {
                Reply::Head { text, .. } => {
                    self.status.get_or_insert_with(|| status(text));
                }
                Reply::Log(level, text) => {
                    let text = text.to_text();
                    seat.log(exchange, level, &text);
                    self.hear(&text);
                }
                Reply::Stderr(text) => {
                    let text = text.to_text();
                    seat.log_stderr(exchange, &text);
                    self.hear(&text);
                }
                Reply::End(outcome) => self.end = Some(outcome),
                Reply::Body { .. } | Reply::Times(_) => {}
            }
        }
        let taken = replies.taken();
        drop(port);
        seat.consume(taken);
        Ok(())
    }

    /// Keeps the last of what the app says: a traceback ends with the cause.
    fn hear(&mut self, text: &str) {
        self.said.push_str(text.trim_end());
        self.said.push('\n');
        let over = self.said.len().saturating_sub(MAX_SAID);
        self.said.drain(..self.said.ceil_char_boundary(over));
    }

    fn said(&self) -> String {
        let said = self.said.trim_end();
        if said.is_empty() { String::new() } else { format!("\n{said}") }
    }

    /// Why the answer that has ended will not do.
    fn verdict(&self) -> Option<String> {
        let why = match (self.end, &self.status) {
            (Some(Outcome::Complete), Some(status)) if is_good(status) => return None,
            (Some(Outcome::Complete), Some(status)) => format!("was answered {status}"),
            (Some(Outcome::Exit), _) => "was not answered: the app called sys.exit".to_owned(),
            (_, Some(status)) => format!("was answered {status}, and the answer is cut"),
            (_, None) => "was not answered: the app gave no answer".to_owned(),
        };
        Some(why + &self.said())
    }
}

/// Below 400.
fn is_good(status: &str) -> bool {
    status.starts_with(['1', '2', '3'])
}

/// The status of a head, which begins with `Status: `.
fn status(head: Payload<'_>) -> String {
    let mut text = bytes::BytesMut::new();
    head.append_to(&mut text);
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    let status = line.strip_prefix("Status: ").unwrap_or(line);
    status.get(..status.floor_char_boundary(MAX_STATUS)).unwrap_or_default().to_owned()
}

/// Where the thread is, if it says so.
async fn frames(seat: &Seat) -> String {
    let frames = match seat.probe() {
        Some(probe) => probe.frames(seat.thread(), FRAMES).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let lines = frames.iter().rev().map(|frame| format!("\n    {frame}"));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("; it is here:{lines}") }
}

/// The request as a web server would send it.
fn request(probe: &ProbeRequest) -> Result<Request, environ::EnvironError> {
    let ProbeRequest { script_name, target, host, .. } = probe;
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let uri = format!("{script_name}{target}");
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
        _ => (&**host, "80"),
    };
    let params: Params = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", concat!("flupd/", env!("CARGO_PKG_VERSION"))),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", &uri),
        ("QUERY_STRING", query),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "0"),
        ("HTTP_HOST", host),
        ("HTTP_USER_AGENT", "flupd-probe"),
        // Clients can't set this: what they send has HTTP_ in front.
        ("FLUPD_PROBE", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    .collect();
    let params = environ::normalise(params, Some(script_name.as_bytes()))?;
    Ok(Request { role: Role::Responder, params, body: Body::Memory(Vec::new()), data: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_sees_an_ordinary_request() {
        let probe = ProbeRequest {
            script_name: "/shop".into(),
            target: "/a%20b?deep=1".into(),
            host: "shop.example.org:8443".into(),
            timeout: Duration::from_secs(1),
        };
        let params = request(&probe).unwrap().params;
        for (name, value) in [
            ("SCRIPT_NAME", "/shop"),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "deep=1"),
            ("HTTP_HOST", "shop.example.org:8443"),
            ("SERVER_NAME", "shop.example.org"),
            ("SERVER_PORT", "8443"),
            ("FLUPD_PROBE", "1"),
        ] {
            assert_eq!(params.get(name.as_bytes()), Some(value.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_is_a_good_answer() {
        let answer = |status: Option<&str>, end, said: &str| {
            let mut answer =
                Answer { status: status.map(str::to_owned), end: Some(end), ..Answer::default() };
            answer.hear(said);
            answer.verdict()
        };
        use Outcome::{Complete, Cut, Exit, Failed};
        for status in ["200 OK", "204 No Content", "302 Found"] {
            assert_eq!(answer(Some(status), Complete, "chatter"), None);
        }
        let table = [
            (Some("404 Not Found"), Complete, "", "was answered 404 Not Found"),
            (Some("500 Oh"), Complete, "Traceback", "was answered 500 Oh\nTraceback"),
            (Some("200 OK"), Cut, "", "was answered 200 OK, and the answer is cut"),
            (None, Failed, "Boom\n", "was not answered: the app gave no answer\nBoom"),
            (None, Exit, "", "was not answered: the app called sys.exit"),
            (Some(""), Complete, "", "was answered "),
        ];
        for (status, end, said, why) in table {
            assert_eq!(answer(status, end, said).as_deref(), Some(why));
        }
    }

    #[test]
    fn of_much_that_is_said_the_end_is_told() {
        let mut answer = Answer::default();
        for line in 0..10_000 {
            answer.hear(&format!("é{line}"));
        }
        assert!(answer.said.len() <= MAX_SAID && answer.said.ends_with("é9999\n"));
    }
}
