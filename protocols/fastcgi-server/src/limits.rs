//! What one connection may make us hold.

/// The bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one request's PARAMS stream: names, values and their
    /// encoded lengths. One more and the request is refused. 1 MiB by default.
    pub max_params: usize,
    /// The most requests open at once on one connection. One more is answered
    /// OVERLOADED. 128 by default.
    pub max_requests: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_params: 1 << 20, max_requests: 128 }
    }
}
