//! The rules a peer can break.

/// A broken rule. The driver answers 400, or 431 when [`Error::is_too_large`],
/// and closes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The netstring does not begin with digits and a colon.
    #[error("byte {got:#04x} in the length of the headers, must be a digit or ':'")]
    LengthDigit {
        /// The byte that stood there.
        got: u8,
    },
    /// The netstring begins with its colon.
    #[error("the headers have no length before their ':'")]
    LengthMissing,
    /// The length has a zero in front, which netstrings forbid.
    #[error("the length of the headers begins with 0")]
    LengthLeadingZero,
    /// The headers are longer than `Limits::max_headers`.
    #[error("headers are larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The netstring does not end with a comma.
    #[error("byte {got:#04x} after the headers, must be ','")]
    Comma {
        /// The byte that stood there.
        got: u8,
    },
    /// The last header value has no NUL after it.
    #[error("the headers do not end with NUL")]
    Unterminated,
    /// A name without a value.
    #[error("the last header has a name and no value")]
    ValueMissing,
    /// A header with an empty name.
    #[error("header {index} has an empty name")]
    EmptyName {
        /// Which one, counted from 0.
        index: usize,
    },
    /// The first header is another one, or there is none.
    #[error("the first header must be CONTENT_LENGTH")]
    ContentLengthFirst,
    /// Its value is empty, not all digits, or above 2^64.
    #[error("CONTENT_LENGTH is {value:?}, must be a decimal number")]
    ContentLength {
        /// The value, cut after 32 bytes.
        value: String,
    },
    /// The header that names the protocol is missing or not 1.
    #[error("header SCGI must be present and 1")]
    Version,
    /// A name stands twice.
    #[error("header {name:?} stands twice")]
    Duplicate {
        /// The name, cut after 32 bytes.
        name: String,
    },
}

impl Error {
    /// Whether the headers are over the limit (431) and not malformed (400).
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }
}
