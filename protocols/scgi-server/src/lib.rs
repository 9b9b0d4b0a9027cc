//! A sans-IO SCGI codec.
//!
//! # Contract
//! - Bytes go in, events come out. No socket, no clock, no thread.
//! - The **driver** reads bytes and calls [`Decoder::decode`] until that answers
//!   [`Outcome::NeedMore`]; then all of the input is consumed.
//! - A connection is one request: [`Event::Params`], any number of
//!   [`Event::Body`], [`Event::End`]. The answer is a bare CGI response, and its
//!   end is the end of the connection.
//! - A split of the input never matters, and each length is checked before
//!   anything is stored.
//!
//! ```
//! use scgi_server::{Decoder, Event, Limits, Outcome};
//!
//! let mut input = &b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,hi"[..];
//! let mut decoder = Decoder::new(Limits::default());
//! let mut body = Vec::new();
//! loop {
//!     let (consumed, outcome) = decoder.decode(input)?;
//!     input = &input[consumed..];
//!     match outcome {
//!         Outcome::NeedMore => break, // read more
//!         Outcome::Event(Event::Params { content_length, .. }) => assert_eq!(content_length, 2),
//!         Outcome::Event(Event::Body { bytes }) => body.extend_from_slice(bytes),
//!         Outcome::Event(Event::End) => assert_eq!(body, b"hi"),
//!     }
//! }
//! # Ok::<(), scgi_server::Error>(())
//! ```
//!
//! The protocol is <https://python.ca/scgi/protocol.txt>: a netstring of
//! `name NUL value NUL` headers, then the body.
#![forbid(unsafe_code)]

pub mod client;
mod decoder;
mod error;
mod headers;

pub use decoder::{Decoder, Event, Limits, Outcome};
pub use error::Error;
