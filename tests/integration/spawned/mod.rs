//! Scripts that the web server itself starts.

#[macro_use]
pub mod way;

mod by_hand;
mod fcgid;
mod frameworks;
pub mod guard;
mod lives;
mod requests;
mod unheard;
