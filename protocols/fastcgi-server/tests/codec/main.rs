//! The codec from outside: recorded streams, round trips, and arbitrary input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod any_input;
mod checks;
mod corpus;
mod round_trip;
#[path = "../../../corpus/script.rs"]
mod script;
