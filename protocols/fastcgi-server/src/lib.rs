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
//! # A driver, without its socket
//! ```
//! use bytes::BytesMut;
//! use fastcgi_server::{client, encode};
//! use fastcgi_server::{Capabilities, Decoder, Event, Limits, Outcome, ProtocolStatus, Role, Roles};
//!
//! // What a web server sends.
//! let mut input = BytesMut::new();
//! client::begin(&mut input, 1, Role::Responder, true);
//! client::params(&mut input, 1, &[(&b"REQUEST_METHOD"[..], &b"GET"[..])].into_iter().collect());
//! client::stdin_end(&mut input, 1);
//!
//! let roles = Roles::RESPONDER;
//! let capabilities = Capabilities { max_conns: 64, max_reqs: 64, mpxs_conns: true, roles };
//! let mut decoder = Decoder::new(Limits::default(), capabilities);
//! let mut out = BytesMut::new();
//! loop {
//!     let (consumed, outcome) = decoder.decode(&input, &mut out)?;
//!     match outcome {
//!         Outcome::NeedMore => break, // read more, or wait
//!         Outcome::Event(Event::StdinEnd { id }) => {
//!             encode::stdout(&mut out, id, b"Status: 200 OK\r\n\r\nhello");
//!             encode::stdout_end(&mut out, id);
//!             encode::end_request(&mut out, id, 0, ProtocolStatus::RequestComplete);
//!             decoder.finish(id);
//!         }
//!         Outcome::Event(_) => {}
//!     }
//!     let _ = input.split_to(consumed);
//! }
//! assert!(decoder.is_idle() && !out.is_empty());
//! # Ok::<(), fastcgi_server::Error>(())
//! ```
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
