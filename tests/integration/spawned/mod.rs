//! Scripts that the web server itself starts.

#[macro_use]
pub mod way;

mod busy;
mod by_hand;
mod fcgid;
mod frameworks;
pub mod guard;
mod lives;
mod others;
mod requests;
mod unheard;
