//! One request, from its first params to the whole that an app thread gets.

use std::io;

use cgi::Params;
use flupd_channel::Role;
use flupd_channel::gateway::{Body, Shelf, Size, size};

use super::arriving::Arriving;
use super::refusal::Refusal;
use super::routes::Mount;
use super::spool::Extra;
use super::stream::Stream;
use crate::config::AppLimits;
use crate::observe::access::request_id;
use crate::observe::ids::Ids;
use crate::observe::snapshot::{RequestSnapshot, request_uri};
use crate::observe::trace_context::{TraceId, TraceParent};

/// How much of a request's id is logged, in bytes.
const MAX_ID: usize = 128;

/// A complete request.
#[derive(Debug)]
pub(super) struct Request {
    /// What the app is to do.
    pub(super) role: Role,
    /// The app's environ, normalised.
    pub(super) params: Params,
    /// The whole body.
    pub(super) body: Body,
    /// What a Filter works on, whole.
    pub(super) data: Option<Body>,
}

impl Request {
    /// What is known of one that was refused before it was whole.
    pub(super) const fn unfinished(params: Params) -> Self {
        Self { role: Role::Responder, params, body: Body::Memory(Vec::new()), data: None }
    }

    /// `REQUEST_METHOD`, for the log.
    pub(super) fn method(&self) -> String {
        text(Some(self.method_bytes()))
    }

    /// `REQUEST_URI`, for the log.
    pub(super) fn uri(&self) -> String {
        text(Some(self.uri_bytes()))
    }

    /// Whether it can wait in a slot behind others.
    pub(super) fn is_small(&self) -> bool {
        self.data.is_none() && size(&self.params, &self.body) == Size::Small
    }

    /// The bytes of params and bodies.
    pub(super) fn length(&self) -> u64 {
        let data = self.data.as_ref().map_or(0, Body::length);
        self.params.bytes().len() as u64 + self.body.length() + data
    }

    /// Gives it one of `ids` if the web server has given none.
    pub(super) fn identify(&mut self, ids: Option<&Ids>) {
        const NAME: &[u8] = b"REQUEST_ID";
        let Some(ids) = ids.filter(|_| request_id(&self.params).is_none()) else { return };
        if self.params.get(NAME).is_some() {
            // Sent, but empty.
            self.params = self.params.iter().filter(|(name, _)| *name != NAME).collect();
        }
        self.params.push(NAME, ids.text().as_bytes());
    }

    /// What the web server calls it, for the log; no longer than [`MAX_ID`].
    pub(super) fn id(&self) -> Option<String> {
        let id = request_id(&self.params)?;
        Some(text(Some(id.get(..MAX_ID).unwrap_or(id))))
    }

    /// The trace that it belongs to, for the log.
    pub(super) fn trace(&self) -> Option<TraceId> {
        TraceParent::of(&self.params).map(|parent| parent.trace)
    }

    /// `REQUEST_METHOD` as it came; nothing if it did not.
    pub(super) fn method_bytes(&self) -> &[u8] {
        self.params.get(b"REQUEST_METHOD").unwrap_or_default()
    }

    /// `REQUEST_URI` as it came, or `PATH_INFO`.
    pub(super) fn uri_bytes(&self) -> &[u8] {
        request_uri(&self.params)
    }

    /// What is told of it to those who ask what runs.
    pub(super) fn told(&self) -> RequestSnapshot {
        RequestSnapshot::of(&self.params)
    }

    /// Whether doing it twice is the same as doing it once and changes nothing
    /// (RFC 9110 section 9.2), so that it may be given to a second worker.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.params.get(b"REQUEST_METHOD"), Some(b"GET" | b"HEAD" | b"OPTIONS"))
    }
}

/// The params of an Authorizer, which has no body.
fn without_length(params: Params) -> Params {
    if params.get(b"CONTENT_LENGTH").is_none() {
        return params;
    }
    params.iter().filter(|(name, _)| *name != b"CONTENT_LENGTH").collect()
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// A request of which something is still arriving.
#[derive(Debug)]
pub(super) struct Assembly {
    params: Params,
    role: Role,
    body: Arriving,
    /// What a Filter works on.
    data: Option<Arriving>,
    /// The streams that have not ended.
    awaited: u8,
}

impl Assembly {
    /// Begins with the params.
    ///
    /// # Errors
    /// What is wrong, with the params.
    pub(super) fn new(
        role: Role,
        params: Params,
        limits: &AppLimits,
        shelf: &Shelf,
    ) -> Result<Self, (Refusal, Params)> {
        match Self::expect(role, &params, limits, shelf) {
            Ok((body, data)) => {
                let awaited = 1 + u8::from(data.is_some());
                let params = if role == Role::Authorizer { without_length(params) } else { params };
                Ok(Self { params, role, body, data, awaited })
            }
            Err(refusal) => Err((refusal, params)),
        }
    }

    /// What is to come, and room for it. A [`Refusal`] when a length in the params
    /// is no number or over the limit.
    fn expect(
        role: Role,
        params: &Params,
        limits: &AppLimits,
        shelf: &Shelf,
    ) -> Result<(Arriving, Option<Arriving>), Refusal> {
        let body = match role {
            // It sees what is asked, not what is sent (section 6.3).
            Role::Authorizer => Arriving::none(shelf)?,
            _ => Arriving::new(params, "CONTENT_LENGTH", limits.body, shelf)?,
        };
        let data = (role == Role::Filter)
            .then(|| Arriving::new(params, "FCGI_DATA_LENGTH", limits.body, shelf))
            .transpose()?;
        Ok((body, data))
    }

    /// The params, as the web server sent them.
    pub(super) const fn params(&self) -> &Params {
        &self.params
    }

    /// What is told of it to those who ask what runs.
    pub(super) fn told(&self) -> RequestSnapshot {
        RequestSnapshot::of(&self.params)
    }

    /// Gives the params back: no request will be made of them.
    pub(super) fn into_params(self) -> Params {
        self.params
    }

    /// How much has arrived of body and data, in bytes.
    pub(super) fn received(&self) -> u64 {
        self.body.length() + self.data.as_ref().map_or(0, Arriving::length)
    }

    /// Whether the params said that there is no body. The request is whole then,
    /// also before the stream of its body has ended.
    pub(super) fn promises_nothing(&self) -> bool {
        self.role == Role::Responder && self.body.promised() == Some(0)
    }

    /// Takes a part of the body.
    ///
    /// # Errors
    /// A [`Refusal`] when there is more than was promised or allowed.
    pub(super) fn body(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.body.push(bytes)
    }

    /// Takes a part of a Filter's file.
    ///
    /// # Errors
    /// A [`Refusal`] when there is more than was promised or allowed.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.data.as_mut().map_or(Ok(()), |data| data.push(bytes))
    }

    /// One of the streams has ended, which happens once to each; `true` when all
    /// have.
    pub(super) fn ended(&mut self) -> bool {
        self.awaited = self.awaited.saturating_sub(1);
        self.awaited == 0
    }

    /// Receives at most `most` bytes of body straight to where they belong; see
    /// [`Arriving::receive`].
    ///
    /// # Errors
    /// What the socket reports.
    pub(super) fn receive(
        &mut self,
        stream: &Stream,
        most: usize,
        extra: &mut Extra,
    ) -> io::Result<Option<(usize, usize)>> {
        self.body.receive(stream, most, extra)
    }

    /// Brings what exceeds the memory bound to disk, off this thread. To be
    /// called after each part; returns at once if there is nothing to do.
    ///
    /// # Errors
    /// A [`Refusal`] when the disk does not take it.
    pub(super) async fn spill(&mut self) -> Result<(), Refusal> {
        self.body.spill().await?;
        match &mut self.data {
            Some(data) => data.spill().await,
            None => Ok(()),
        }
    }

    /// All has arrived: brings to disk what has to go there, before [`Assembly::finish`].
    ///
    /// # Errors
    /// A [`Refusal`] when a stream is shorter than promised, or the disk does not
    /// take it.
    pub(super) async fn flush(&mut self) -> Result<(), Refusal> {
        self.body.flush().await?;
        match &mut self.data {
            Some(data) => data.flush().await,
            None => Ok(()),
        }
    }

    /// The request. Nothing is waited for here: what an `async fn` takes by value it
    /// keeps room for, in each connection, in several places.
    ///
    /// # Errors
    /// A [`Refusal`] when the params can't make an environ.
    pub(super) fn finish(self, mount: &Mount) -> Result<Request, Refusal> {
        let length = self.body.promised().is_none().then(|| self.body.length());
        let body = self.body.finish()?;
        let data = self.data.map(Arriving::finish).transpose()?;
        let mut params =
            mount.environ(self.params).map_err(|error| Refusal::bad_request(error.to_string()))?;
        if let Some(length @ 1..) = length {
            // The whole body is here, so its length is known after all: apps
            // that read CONTENT_LENGTH bytes see chunked uploads too.
            params.push(b"CONTENT_LENGTH", length.to_string().as_bytes());
        }
        Ok(Request { role: self.role, params, body, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(content_length: &[u8]) -> Result<Assembly, Refusal> {
        let params: Params =
            [(&b"REQUEST_METHOD"[..], &b"POST"[..]), (b"CONTENT_LENGTH", content_length)]
                .into_iter()
                .collect();
        let limits = AppLimits { body: 10, ..AppLimits::default() };
        Assembly::new(Role::Responder, params, &limits, &Shelf::new(10))
            .map_err(|(refusal, _)| refusal)
    }

    async fn whole(content_length: &[u8], body: &[u8]) -> Result<Request, Refusal> {
        let mut assembly = begin(content_length)?;
        assembly.body(body)?;
        assembly.flush().await?;
        assembly.finish(&Mount::Told)
    }

    fn status(done: Result<Request, Refusal>) -> u16 {
        done.err().map_or(200, |refusal| refusal.status)
    }

    #[tokio::test]
    async fn the_body_must_match_its_promise() {
        assert_eq!(status(whole(b"3", b"abc").await), 200);
        assert_eq!(status(whole(b"3", b"ab").await), 400);
        assert_eq!(status(whole(b"3", b"abcd").await), 400);
        assert_eq!(status(whole(b"11", b"").await), 413);
        assert_eq!(status(whole(b"", b"12345678901").await), 413);
        for bad in [&b"+3"[..], b"3 ", b"0x3", b"-2", b"99999999999999999999"] {
            assert_eq!(status(whole(bad, b"abc").await), 400, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn of_two_lengths_the_last_counts() {
        let params: Params = [
            (&b"REQUEST_METHOD"[..], &b"POST"[..]),
            (b"CONTENT_LENGTH", b""),
            (b"CONTENT_LENGTH", b"3"),
        ]
        .into_iter()
        .collect();
        let mut assembly =
            Assembly::new(Role::Responder, params, &AppLimits::default(), &Shelf::new(10)).unwrap();
        assembly.body(b"abc").unwrap();
        assembly.flush().await.unwrap();
        let request = assembly.finish(&Mount::Told).unwrap();
        let lengths = request.params.iter().filter(|(name, _)| *name == b"CONTENT_LENGTH");
        assert_eq!(lengths.map(|(_, value)| value).collect::<Vec<_>>(), [b"3"]);
    }

    #[tokio::test]
    async fn a_body_without_a_length_gets_its_true_one() {
        for unsaid in [&b""[..], b"-1"] {
            let request = whole(unsaid, b"abc").await.unwrap();
            assert_eq!(request.params.get(b"CONTENT_LENGTH"), Some(&b"3"[..]));
        }
        let request = whole(b"", b"").await.unwrap();
        assert_eq!(request.params.get(b"CONTENT_LENGTH"), None);
    }

    #[tokio::test]
    async fn an_id_is_made_only_where_there_is_none() {
        let ids = Ids::default();
        for (sent, kept) in [(&b""[..], false), (b"f00", true)] {
            let mut request = whole(b"0", b"").await.unwrap();
            request.params.push(b"REQUEST_ID", sent);
            request.identify(Some(&ids));
            let id = request.params.get(b"REQUEST_ID").unwrap();
            assert_eq!((id == sent, id.len()), (kept, if kept { 3 } else { 32 }));
            assert_eq!(request.id().unwrap().as_bytes(), id);
        }
    }

    fn as_role(role: Role, data: &[u8]) -> Result<Assembly, Refusal> {
        let params: Params = [
            (&b"REQUEST_METHOD"[..], &b"POST"[..]),
            (b"CONTENT_LENGTH", b"3"),
            (b"FCGI_DATA_LENGTH", data),
        ]
        .into_iter()
        .collect();
        let limits = AppLimits { body: 10, ..AppLimits::default() };
        Assembly::new(role, params, &limits, &Shelf::new(10)).map_err(|(refusal, _)| refusal)
    }

    /// Section 6.3: it is given no body, so it must not look for one.
    #[tokio::test]
    async fn an_authorizer_has_no_body_whatever_is_said() {
        let mut assembly = as_role(Role::Authorizer, b"x").unwrap();
        assert!(!assembly.promises_nothing() && assembly.ended());
        assembly.flush().await.unwrap();
        let request = assembly.finish(&Mount::Told).unwrap();
        assert_eq!((request.body.length(), request.params.get(b"CONTENT_LENGTH")), (0, None));
    }

    #[tokio::test]
    async fn a_filter_is_whole_with_both_streams() {
        let mut assembly = as_role(Role::Filter, b"4").unwrap();
        assembly.body(b"abc").unwrap();
        assert!(!assembly.ended());
        assembly.data(b"data").unwrap();
        assert!(assembly.ended());
        assembly.flush().await.unwrap();
        let request = assembly.finish(&Mount::Told).unwrap();
        assert_eq!((request.body.length(), request.data.unwrap().length()), (3, 4));

        let mut assembly = as_role(Role::Filter, b"4").unwrap();
        assert_eq!(assembly.data(b"datas").unwrap_err().status, 400);
        let mut assembly = as_role(Role::Filter, b"").unwrap();
        assert_eq!(assembly.data(b"12345678901").unwrap_err().status, 413);
        assert_eq!(as_role(Role::Filter, b"11").unwrap_err().status, 413);
        assert_eq!(as_role(Role::Filter, b"4 ").unwrap_err().status, 400);
        let mut assembly = as_role(Role::Filter, b"4").unwrap();
        assembly.body(b"abc").unwrap();
        assert_eq!(
            assembly.flush().await.unwrap_err().why,
            "the file is shorter than FCGI_DATA_LENGTH"
        );
    }
}
