//! Real workers under every Python there is, with supervisor and gateway played
//! by the test. The apps are in `tests/apps`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod starting;
mod support;
