//! A sans-IO FastCGI 1.0 codec.
//!
//! # Contract
//! - Bytes go in, events come out. No socket, no clock, no thread.
//! - The **driver** owns the connection. It reads bytes, calls
//!   [`Decoder::decode`] until that answers [`Outcome::NeedMore`], flushes what
//!   was appended to `owed`, and writes answers with [`encode`].
//! - At [`Outcome::NeedMore`] every byte of the input has been consumed; the
//!   driver may throw its buffer away.
//! - A split of the input never matters: whole, byte by byte or cut anywhere,
//!   the same events follow (adjacent [`Event::Stdin`] parts aside).
//! - Each length that the peer sends is checked before anything is stored, and
//!   nothing is allocated for bytes that have not arrived.
//! - Life of a request: [`Event::Begin`], [`Event::Params`], any number of
//!   [`Event::Stdin`], [`Event::StdinEnd`] (then `Data`, `DataEnd` for a
//!   Filter), the driver's `END_REQUEST`, [`Decoder::finish`]. An
//!   [`Event::Abort`] or [`Event::Refused`] ends its input at any point; the id
//!   stays taken until `finish`.
//!
//! The section numbers in this crate are those of the FastCGI Specification 1.0.
#![forbid(unsafe_code)]

mod capabilities;
pub mod client;
mod decoder;
pub mod encode;
mod error;
mod event;
mod framing;
mod limits;
mod params;
mod record;
mod request;

pub use capabilities::{Capabilities, Roles};
pub use decoder::Decoder;
pub use error::Error;
pub use event::{Event, Outcome, Refusal};
pub use limits::Limits;
pub use params::Malformed;
pub use record::{ProtocolStatus, RecordType, Role};
