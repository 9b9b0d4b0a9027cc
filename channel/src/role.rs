//! What a request wants of an app.

/// A role of the FastCGI specification (section 6). Requests that come over SCGI
/// are for a Responder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Answers an HTTP request.
    #[default]
    Responder = 0,
    /// Decides whether an HTTP request may go on.
    Authorizer = 1,
    /// Answers an HTTP request by transforming a file.
    Filter = 2,
}

impl Role {
    /// As it travels.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Responder,
            1 => Self::Authorizer,
            2 => Self::Filter,
            _ => return None,
        })
    }

    /// `responder`, `authorizer` or `filter`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Responder => "responder",
            Self::Authorizer => "authorizer",
            Self::Filter => "filter",
        }
    }
}
