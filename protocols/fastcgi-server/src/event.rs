//! What a piece of input meant.

use cgi::Params;

use crate::{Malformed, Role};

/// The answer of [`Decoder::decode`](crate::Decoder::decode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'i> {
    /// All of the input was consumed, and it means nothing more yet.
    NeedMore,
    /// Something happened. More may stand in the rest of the input.
    Event(Event<'i>),
}

/// What the web server said about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A request begins.
    Begin {
        /// Its id, 1 to 65535.
        id: u16,
        /// The role asked for; one of those in the capabilities.
        role: Role,
        /// Whether the connection stays open after the answer. If not, the
        /// driver closes it once `END_REQUEST` is sent.
        keep_conn: bool,
    },
    /// The whole PARAMS stream has arrived and its lengths add up.
    Params {
        /// The request.
        id: u16,
        /// Its pairs in the order sent, duplicates included.
        params: Params,
    },
    /// A part of the body, as it came: also from the middle of a record.
    Stdin {
        /// The request.
        id: u16,
        /// Never empty.
        bytes: &'i [u8],
    },
    /// The body is complete. An Authorizer has none, so for it this follows
    /// [`Event::Params`] at once (section 6.3).
    StdinEnd {
        /// The request.
        id: u16,
    },
    /// A part of the file a Filter works on, as it came.
    Data {
        /// The request.
        id: u16,
        /// Never empty.
        bytes: &'i [u8],
    },
    /// The file is complete.
    DataEnd {
        /// The request.
        id: u16,
    },
    /// The web server has lost interest (section 5.4). Nothing more of this
    /// request follows. The driver still owes an `END_REQUEST` and `finish`.
    Abort {
        /// The request.
        id: u16,
    },
    /// The request cannot be served. Nothing more of it follows: the driver
    /// answers (431 or 400), sends `END_REQUEST` and calls `finish`.
    Refused {
        /// The request.
        id: u16,
        /// As in its [`Event::Begin`].
        keep_conn: bool,
        /// Why.
        reason: Refusal,
    },
    /// A request was asked for in a role that is not among the capabilities. It was
    /// answered UNKNOWN_ROLE (section 5.5), and nothing of it follows.
    UnknownRole {
        /// The role's number; one of the specification's or any other.
        role: u16,
    },
}

/// Why one request was refused while its connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its PARAMS stream is longer than `Limits::max_params`. HTTP has 431 for this.
    #[error("params are larger than {limit} bytes")]
    ParamsTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The lengths in its PARAMS stream do not add up.
    #[error("params are malformed: {0} (section 3.4)")]
    ParamsMalformed(#[from] Malformed),
    /// STDIN began before the empty record that ends PARAMS.
    #[error("STDIN came before the end of PARAMS (section 6.2)")]
    StdinBeforeParams,
}
