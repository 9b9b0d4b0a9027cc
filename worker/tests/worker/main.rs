//! Real workers under every Python there is, with supervisor and gateway played
//! by the test. The apps are in `tests/apps`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cancelled;
mod environ;
mod errors;
mod failures;
mod files;
mod input;
mod leaving;
mod limits;
mod loading;
mod probe;
mod responses;
mod signals;
mod starting;
mod support;
mod threads;
mod validator;
mod zygote;
