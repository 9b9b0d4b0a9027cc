//! Answers that flupd gives by itself, because the app can't or must not.

use std::rc::Rc;
use std::time::Duration;

use crate::observe::metrics::Reason;

/// A request that does not reach the app, or whose worker was lost.
///
/// The client sees the status and a line of plain text; `why` is for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    phrase: &'static str,
    retry_after: Option<u32>,
    /// As what it is counted.
    pub(super) reason: Reason,
    /// What happened, for the administrator.
    pub(super) why: String,
    /// What the web server's error log is told, where the protocol has a way there.
    pub(super) told: Option<Rc<str>>,
}

impl Refusal {
    const fn new(status: u16, phrase: &'static str, reason: Reason, why: String) -> Self {
        Self { status, phrase, retry_after: None, reason, why, told: None }
    }

    /// 400: the web server sent what no request can be made of.
    pub(super) const fn bad_request(why: String) -> Self {
        Self::new(400, "Bad Request", Reason::BadRequest, why)
    }

    /// 404: no app has the request.
    pub(super) const fn not_found(why: String) -> Self {
        Self::new(404, "Not Found", Reason::NoApp, why)
    }

    /// 408: the rest of the request did not come in time.
    pub(super) const fn timed_out(why: String) -> Self {
        Self::new(408, "Request Timeout", Reason::ReadTimeout, why)
    }

    /// 413: the body is over the limit.
    pub(super) fn body_too_large(limit: u64) -> Self {
        let why = format!("the body exceeds {limit} bytes (--max-body)");
        Self::new(413, "Content Too Large", Reason::BodyTooLarge, why)
    }

    /// 431: the params are over the limit.
    pub(super) const fn params_too_large(why: String) -> Self {
        Self::new(431, "Request Header Fields Too Large", Reason::ParamsTooLarge, why)
    }

    /// 500: the body could not be stored.
    pub(super) fn spool_failed(error: &std::io::Error) -> Self {
        let why = format!("the body could not be spooled to a temporary file: {error}");
        Self::new(500, "Internal Server Error", Reason::SpoolFailed, why)
    }

    /// 500: the app ended its answer before it had begun.
    pub(super) fn no_answer() -> Self {
        Self::new(
            500,
            "Internal Server Error",
            Reason::NoAnswer,
            "the app gave no answer".to_owned(),
        )
    }

    /// 500: the operating system did not let the request go to a worker.
    pub(super) fn not_handed_over(error: &std::io::Error) -> Self {
        let why = format!("the request could not be handed to a worker: {error}");
        Self::new(500, "Internal Server Error", Reason::NotHandedOver, why)
    }

    /// 502: the worker died with the request inside.
    pub(super) const fn worker_lost(why: String) -> Self {
        Self::new(502, "Bad Gateway", Reason::WorkerLost, why)
    }

    /// 503: as many requests wait as may.
    pub(super) fn queue_full(limit: usize) -> Self {
        let requests =
            if limit == 1 { "1 request waits" } else { &format!("{limit} requests wait") };
        let why = format!("{requests} for an app thread already (--queue)");
        Self {
            retry_after: Some(1),
            ..Self::new(503, "Service Unavailable", Reason::QueueFull, why)
        }
    }

    /// 503: no app thread became free in time.
    pub(super) fn waited_too_long(limit: Duration) -> Self {
        let why = format!("no app thread was free for {} s (--queue-timeout)", limit.as_secs_f64());
        Self {
            retry_after: Some(1),
            ..Self::new(503, "Service Unavailable", Reason::QueueTimeout, why)
        }
    }

    /// 504: the app does not answer.
    pub(super) fn took_too_long(limit: Duration) -> Self {
        let why = format!("no answer after {} s (--request-timeout)", limit.as_secs_f64());
        Self::new(504, "Gateway Timeout", Reason::RequestTimeout, why)
    }

    /// 503: no worker can run the app, for this reason if the web server is to know it.
    pub(super) fn app_unavailable(told: Option<Rc<str>>) -> Self {
        let why = "no worker could start the app; its log says why".to_owned();
        let reason = Reason::AppUnavailable;
        Self { retry_after: Some(5), told, ..Self::new(503, "Service Unavailable", reason, why) }
    }

    /// The CGI response head (RFC 3875 section 6).
    pub(super) fn head(&self) -> String {
        let (status, phrase, length) = (self.status, self.phrase, self.body().len());
        let retry = self.retry_after.map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
        format!(
            "Status: {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n{retry}\r\n"
        )
    }

    /// The body: the status in words, nothing of the inside.
    pub(super) fn body(&self) -> String {
        format!("{} {}\n", self.status, self.phrase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_cgi_response() {
        let full = Refusal::queue_full(8);
        let head = "Status: 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 24\r\nRetry-After: 1\r\n\r\n";
        assert_eq!(full.head(), head);
        assert_eq!(full.body(), "503 Service Unavailable\n");
        assert_eq!(full.why, "8 requests wait for an app thread already (--queue)");
        assert_eq!(
            Refusal::queue_full(1).why,
            "1 request waits for an app thread already (--queue)"
        );
    }
}
