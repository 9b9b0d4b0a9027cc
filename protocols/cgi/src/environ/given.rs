//! The params as the web server gave them, read once.

use crate::Params;

/// The params that decide about others, absent ones empty, and all pairs with
/// those of one name side by side.
#[derive(Default)]
pub(super) struct Given<'p> {
    pub(super) request_method: &'p [u8],
    pub(super) script_name: &'p [u8],
    pub(super) path_info: &'p [u8],
    /// An empty one is an answer; an absent one is not.
    pub(super) query_string: Option<&'p [u8]>,
    pub(super) request_uri: &'p [u8],
    pub(super) document_uri: &'p [u8],
    pub(super) script_filename: &'p [u8],
    pub(super) server_software: &'p [u8],
    pub(super) server_name: &'p [u8],
    pub(super) server_port: &'p [u8],
    pub(super) server_protocol: &'p [u8],
    pub(super) http_host: &'p [u8],
    pub(super) https: &'p [u8],
    pub(super) request_scheme: &'p [u8],
    pairs: Vec<(&'p [u8], &'p [u8])>,
}

impl<'p> Given<'p> {
    pub(super) fn new(params: &'p Params) -> Self {
        let mut given = Self { pairs: Vec::with_capacity(params.len()), ..Self::default() };
        // Of a repeated name the last one stays.
        for (name, value) in params {
            match name {
                b"REQUEST_METHOD" => given.request_method = value,
                b"SCRIPT_NAME" => given.script_name = value,
                b"PATH_INFO" => given.path_info = value,
                b"QUERY_STRING" => given.query_string = Some(value),
                b"REQUEST_URI" => given.request_uri = value,
                b"DOCUMENT_URI" => given.document_uri = value,
                b"SCRIPT_FILENAME" => given.script_filename = value,
                b"SERVER_SOFTWARE" => given.server_software = value,
                b"SERVER_NAME" => given.server_name = value,
                b"SERVER_PORT" => given.server_port = value,
                b"SERVER_PROTOCOL" => given.server_protocol = value,
                b"HTTP_HOST" => given.http_host = value,
                b"HTTPS" => given.https = value,
                b"REQUEST_SCHEME" => given.request_scheme = value,
                _ => {}
            }
            given.pairs.push((name, value));
        }
        // Sorting finds every duplicate without comparing each name with each: a
        // client can make a web server send thousands. It is stable, so pairs of
        // one name keep their order. Lengths go first: they mostly differ, and
        // cost nothing to compare.
        given.pairs.sort_by_key(|&(name, _)| (name.len(), name));
        given
    }

    /// The pairs, those of one name together.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[(&'p [u8], &'p [u8])]> {
        self.pairs.chunk_by(|(a, _), (b, _)| a == b)
    }
}
