//! How far the answer to one request is, and what of a body may go out.
//!
//! Pure: it decides, [`crate::exchange`] sends.

use flupd_channel::Role;

use crate::head::Head;

/// The state of one response.
///
/// ```text
/// Silent ──start──▶ Started ──commit──▶ Sent
///                   └─start with exc_info replaces the head
/// ```
#[derive(Debug)]
pub(crate) struct Response {
    state: State,
    /// The request's method is HEAD: the body is left out.
    head_request: bool,
    /// An Authorizer's 200 lets a request pass, and says nothing else.
    authorizes: bool,
}

#[derive(Debug)]
enum State {
    Silent,
    Started(Head),
    Sent(BodyRule),
}

/// What of the body may go out once the head has.
#[derive(Debug, Clone, Copy)]
enum BodyRule {
    /// Nothing: HEAD, 1xx, 204, 304, an Authorizer's 200.
    None,
    /// All of it; its end is its length.
    Any,
    /// As many bytes as Content-Length still promises.
    Left(u64),
}

/// Why `start_response` was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A second call without `exc_info`.
    Twice,
    /// `exc_info` came after the head had gone out: it must be raised again.
    HeadSent,
}

/// `start_response` has not been called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotStarted;

/// How many bytes of a chunk may go out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) bytes: usize,
    /// The chunk holds more than Content-Length allows.
    pub(crate) over: bool,
}

impl Response {
    pub(crate) const fn new(head_request: bool) -> Self {
        Self { state: State::Silent, head_request, authorizes: false }
    }

    /// The answer of an app that is asked in this role.
    pub(crate) fn of(self, role: Role) -> Self {
        Self { authorizes: role == Role::Authorizer, ..self }
    }

    /// `start_response`, with or without `exc_info`.
    pub(crate) fn start(&mut self, head: Head, with_error: bool) -> Result<(), Refused> {
        match self.state {
            State::Started(_) | State::Sent(_) if !with_error => Err(Refused::Twice),
            State::Sent(_) => Err(Refused::HeadSent),
            State::Silent | State::Started(_) => {
                self.state = State::Started(head);
                Ok(())
            }
        }
    }

    /// Forgets a head that has not been sent, to answer with another.
    pub(crate) fn forget(&mut self) {
        if !self.head_sent() {
            self.state = State::Silent;
        }
    }

    /// How many bytes of a head have still to be sent, about.
    pub(crate) const fn head_size(&self) -> usize {
        match &self.state {
            State::Started(head) => head.size(),
            State::Silent | State::Sent(_) => 0,
        }
    }

    pub(crate) const fn head_sent(&self) -> bool {
        matches!(self.state, State::Sent(_))
    }

    /// The head's bytes when it has not been sent: from here on it has. `known`
    /// is the body's length, where that is known before the body ends.
    pub(crate) fn commit(&mut self, known: Option<u64>) -> Result<Option<Vec<u8>>, NotStarted> {
        let mut head = match std::mem::replace(&mut self.state, State::Silent) {
            State::Silent => return Err(NotStarted),
            State::Started(head) => head,
            sent @ State::Sent(_) => {
                self.state = sent;
                return Ok(None);
            }
        };
        // The web server takes no body (section 6.3), and mod_fcgid takes its length
        // for that of the answer of the app behind.
        let passes = self.authorizes && head.is_ok();
        if passes {
            head.drop_length();
        }
        // The empty body of an answer to HEAD says nothing of a GET's.
        let known = known.filter(|&length| !passes && (length > 0 || !self.head_request));
        self.state = State::Sent(if passes || self.head_request || head.without_body() {
            BodyRule::None
        } else {
            head.length().or(known).map_or(BodyRule::Any, BodyRule::Left)
        });
        Ok(Some(head.into_bytes(known)))
    }

    /// How much of a chunk goes out, after [`Response::commit`].
    pub(crate) fn admit(&mut self, length: usize) -> Share {
        match &mut self.state {
            State::Sent(BodyRule::Any) => Share { bytes: length, over: false },
            State::Sent(BodyRule::Left(left)) => {
                let bytes = usize::try_from(*left).map_or(length, |left| length.min(left));
                *left -= bytes as u64;
                Share { bytes, over: bytes < length }
            }
            State::Sent(BodyRule::None) | State::Silent | State::Started(_) => {
                Share { bytes: 0, over: false }
            }
        }
    }

    /// Whether the body is left out whatever comes.
    pub(crate) const fn body_left_out(&self) -> bool {
        matches!(self.state, State::Sent(BodyRule::None))
    }

    /// How many bytes Content-Length promised that have not gone out.
    pub(crate) const fn missing(&self) -> u64 {
        match self.state {
            State::Sent(BodyRule::Left(left)) => left,
            _ => 0,
        }
    }

    /// Whether Content-Length is known and fulfilled.
    pub(crate) const fn fulfilled(&self) -> bool {
        matches!(self.state, State::Sent(BodyRule::Left(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(length: Option<&str>) -> Head {
        let mut head = Head::new(b"200 OK").unwrap();
        if let Some(length) = length {
            head.push(b"Content-Length", length.as_bytes()).unwrap();
        }
        head
    }

    #[test]
    fn starts_once_unless_in_error() {
        let mut response = Response::new(false);
        assert_eq!(response.commit(None), Err(NotStarted));
        assert_eq!(response.start(head(None), false), Ok(()));
        assert_eq!(response.start(head(None), false), Err(Refused::Twice));
        assert_eq!(response.start(Head::new(b"500 No").unwrap(), true), Ok(()));
        assert_eq!(response.commit(None), Ok(Some(b"Status: 500 No\r\n\r\n".to_vec())));
        assert_eq!(response.commit(None), Ok(None));
        assert_eq!(response.start(head(None), true), Err(Refused::HeadSent));
        assert_eq!(response.start(head(None), false), Err(Refused::Twice));
    }

    #[test]
    fn an_unsent_head_can_be_forgotten() {
        let mut response = Response::new(false);
        response.start(head(None), false).unwrap();
        response.forget();
        assert_eq!(response.commit(None), Err(NotStarted));
        response.start(head(None), false).unwrap();
        response.commit(None).unwrap();
        response.forget();
        assert!(response.head_sent());
    }

    #[test]
    fn content_length_bounds_the_body() {
        let mut response = Response::new(false);
        response.start(head(Some("5")), false).unwrap();
        response.commit(Some(9)).unwrap();
        assert_eq!(response.admit(3), Share { bytes: 3, over: false });
        assert_eq!(response.missing(), 2);
        assert_eq!(response.admit(3), Share { bytes: 2, over: true });
        assert!(response.fulfilled());
        assert_eq!(response.admit(1), Share { bytes: 0, over: true });
    }

    #[test]
    fn head_requests_get_no_body() {
        let mut response = Response::new(true);
        response.start(head(None), false).unwrap();
        let bytes = response.commit(Some(4)).unwrap().unwrap();
        assert_eq!(bytes, b"Status: 200 OK\r\nContent-Length: 4\r\n\r\n");
        assert!(response.body_left_out());
        assert_eq!(response.admit(4), Share { bytes: 0, over: false });
        assert_eq!(response.missing(), 0);

        let mut response = Response::new(true);
        response.start(head(None), false).unwrap();
        assert_eq!(response.commit(Some(0)), Ok(Some(b"Status: 200 OK\r\n\r\n".to_vec())));
    }

    #[test]
    fn an_authorizers_200_has_neither_body_nor_length() {
        for given in [None, Some("4")] {
            let mut response = Response::new(false).of(Role::Authorizer);
            response.start(head(given), false).unwrap();
            assert_eq!(response.commit(Some(4)), Ok(Some(b"Status: 200 OK\r\n\r\n".to_vec())));
            assert_eq!(response.admit(4), Share { bytes: 0, over: false });
            assert_eq!(response.missing(), 0);
        }
        let mut response = Response::new(false).of(Role::Authorizer);
        response.start(Head::new(b"403 No").unwrap(), false).unwrap();
        let bytes = response.commit(Some(4)).unwrap().unwrap();
        assert_eq!(bytes, b"Status: 403 No\r\nContent-Length: 4\r\n\r\n");
        assert_eq!(response.admit(4), Share { bytes: 4, over: false });
    }
}
