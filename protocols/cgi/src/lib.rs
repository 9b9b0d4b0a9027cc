//! What FastCGI and SCGI have in common: both carry the meta-variables of
//! [RFC 3875] (CGI/1.1) to the application and a CGI response back.
//!
//! This crate is pure: bytes in, values out. It never touches a socket, a
//! clock, a thread or Python.
//!
//! [RFC 3875]: https://www.rfc-editor.org/rfc/rfc3875
#![forbid(unsafe_code)]

pub mod environ;
mod params;
mod response;

pub use environ::percent_decode;
pub use params::{Params, ParamsIter, SpanOutside};
pub use response::{HeadError, ResponseHead};
