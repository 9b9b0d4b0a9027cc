//! The rules a peer can break so badly that the connection is over.

use crate::{Malformed, RecordType};

/// A broken rule of the record stream. Where the next record begins, or whose it
/// is, can no longer be known: the driver closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte of a record header is not 1.
    #[error("record version is {got}, must be 1 (section 3.3)")]
    Version {
        /// The byte that stood there.
        got: u8,
    },
    /// A record with a fixed body of 8 bytes has another length.
    #[error("{} record has {got} bytes of content, must be 8 (sections 5.1, 5.5, 4.2)", record.name())]
    BodyLength {
        /// `BEGIN_REQUEST`, `END_REQUEST` or `UNKNOWN_TYPE`.
        record: RecordType,
        /// Its content length in bytes.
        got: u16,
    },
    /// A second `BEGIN_REQUEST` for a request that has not ended.
    #[error("BEGIN_REQUEST for request {id}, which is still open (section 3.3)")]
    DuplicateBegin {
        /// The request id.
        id: u16,
    },
    /// A management record is longer than its few variables can be.
    #[error("{} record has {got} bytes, more than {limit} (section 4.1)", record.name())]
    ValuesTooLarge {
        /// `GET_VALUES` or `GET_VALUES_RESULT`.
        record: RecordType,
        /// Its content length in bytes.
        got: u16,
        /// The most that is taken, in bytes.
        limit: u16,
    },
    /// The name/value pairs of a management record do not add up.
    #[error("{} record is malformed: {reason} (section 3.4)", record.name())]
    ValuesMalformed {
        /// `GET_VALUES` or `GET_VALUES_RESULT`.
        record: RecordType,
        /// What is wrong.
        reason: Malformed,
    },
    /// `END_REQUEST` with a protocolStatus that does not exist.
    #[error("END_REQUEST has protocolStatus {got}, must be 0 to 3 (section 5.5)")]
    ProtocolStatus {
        /// The byte that stood there.
        got: u8,
    },
}
