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
//! The protocol is <https://python.ca/scgi/protocol.txt>: a netstring of
//! `name NUL value NUL` headers, then the body.
#![forbid(unsafe_code)]

pub mod client;
mod decoder;
mod error;
mod headers;

pub use decoder::{Decoder, Event, Limits, Outcome};
pub use error::Error;
